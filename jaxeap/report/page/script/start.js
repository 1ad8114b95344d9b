// What of all this the page has data for.
const startPlot = (name, start) => {
  const data = jaxeap.read(name);
  if (data !== null) start(data);
};

const edges = jaxeap.loadEdges();
if (edges !== null) {
  jaxeap.edges = edges;
  jaxeap.startMaps(edges);
  jaxeap.startCircuits(edges);
}

startPlot("depth", ({ rows }) => {
  const quantity = document.getElementById("depth-quantity");
  const draw = () => jaxeap.drawDepth(rows[Number(quantity.value)]);
  quantity.addEventListener("change", draw);
  jaxeap.whenSeen("plot-depth", draw);
});
startPlot("distribution", (data) => jaxeap.whenSeen("plot-bulk", () => jaxeap.drawDistribution(data)));
startPlot("breakdowns", jaxeap.startBreakdowns);
startPlot("audit", (data) => {
  for (const [role, model] of Object.entries(data)) jaxeap.whenSeen(`plot-audit-${role}`, () => jaxeap.drawAudit(role, model));
});
startPlot("overlap", (data) => jaxeap.whenSeen("plot-overlap", () => jaxeap.drawOverlap(data)));
startPlot("enough", (data) => jaxeap.whenSeen("plot-enough", () => jaxeap.drawEnough(data)));
startPlot("weights", ({ layers }) => jaxeap.whenSeen("plot-weights", () => jaxeap.drawWeights(layers)));

// The panel that is being read is marked in the navigation.
const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const reading = new IntersectionObserver((entries) => {
  for (const entry of entries) links.get(entry.target.id).classList.toggle("current", entry.isIntersecting);
}, { rootMargin: "-20% 0px -70%" });
document.querySelectorAll("main > section").forEach((section) => reading.observe(section));
document.documentElement.dataset.ready = performance.now().toFixed(0);
