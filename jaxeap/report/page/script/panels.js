// What of all this the page has data for.
const edges = jaxeap.loadEdges();
if (edges !== null) {
  jaxeap.edges = edges;
  jaxeap.startMaps(edges);
  jaxeap.startCircuits(edges);
}

jaxeap.start("depth", ({ rows }) => {
  const quantity = document.getElementById("depth-quantity");
  const draw = () => jaxeap.drawDepth(rows[Number(quantity.value)]);
  quantity.addEventListener("change", draw);
  jaxeap.whenSeen("plot-depth", draw);
});
jaxeap.start("distribution", (data) => jaxeap.whenSeen("plot-bulk", () => jaxeap.drawDistribution(data)));
jaxeap.start("breakdowns", jaxeap.startBreakdowns);
jaxeap.start("audit", (data) => {
  for (const [role, model] of Object.entries(data))
    jaxeap.whenSeen(`plot-audit-${role}`, () => jaxeap.drawAudit(role, model));
});
jaxeap.start("overlap", (data) => {
  jaxeap.whenSeen("plot-overlap", () => jaxeap.drawOverlap(data));
  jaxeap.whenSeen("plot-halves", () => jaxeap.drawHalves(data));
});
jaxeap.start("enough", (data) => jaxeap.whenSeen("plot-enough", () => jaxeap.drawEnough(data)));
jaxeap.start("weights", ({ layers }) => jaxeap.whenSeen("plot-weights", () => jaxeap.drawWeights(layers)));
