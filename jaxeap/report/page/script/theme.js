// Plots in the page's colours: drawn when they come into sight, and again when the system turns dark or light.
const dark = matchMedia("(prefers-color-scheme: dark)");
const coarse = matchMedia("(pointer: coarse)").matches;
const drawers = new Map();
const drawn = new Set();

jaxeap.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

jaxeap.sequential = () =>
  dark.matches
    ? [
        [0, "#11151a"],
        [0.25, "#15395a"],
        [0.55, "#0f7cc0"],
        [0.8, "#6bc0ee"],
        [1, "#eaf7ff"],
      ]
    : [
        [0, "#ffffff"],
        [0.25, "#cfe3f1"],
        [0.55, "#56b4e9"],
        [0.8, "#0072b2"],
        [1, "#06304d"],
      ];

jaxeap.diverging = () =>
  dark.matches
    ? [
        [0, "#b9e1fa"],
        [0.22, "#3fa0e0"],
        [0.5, "#11151a"],
        [0.78, "#e0762a"],
        [1, "#ffd7b5"],
      ]
    : [
        [0, "#03395c"],
        [0.22, "#2a8bc7"],
        [0.5, "#ffffff"],
        [0.78, "#e67a2e"],
        [1, "#7a3300"],
      ];

jaxeap.axis = (more = {}) => ({
  gridcolor: jaxeap.colour("grid"),
  zerolinecolor: jaxeap.colour("quiet"),
  linecolor: jaxeap.colour("line"),
  tickfont: { size: 12 },
  automargin: true,
  ...more,
  title: { text: more.title || "", font: { size: 13 }, standoff: 8 },
});

jaxeap.layout = (more = {}) => ({
  paper_bgcolor: "rgba(0,0,0,0)",
  plot_bgcolor: "rgba(0,0,0,0)",
  font: { color: jaxeap.colour("text"), family: "system-ui, sans-serif", size: 13 },
  margin: { l: 60, r: 20, t: 40, b: 45 },
  dragmode: coarse ? false : "zoom",
  hovermode: "closest",
  legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
  hoverlabel: {
    align: "left",
    bgcolor: jaxeap.colour("panel"),
    bordercolor: jaxeap.colour("quiet"),
    font: { color: jaxeap.colour("text"), family: "system-ui, sans-serif" },
  },
  modebar: { bgcolor: "rgba(0,0,0,0)", color: jaxeap.colour("quiet"), activecolor: jaxeap.colour("text") },
  ...more,
});

jaxeap.title = (text) => ({ text, x: 0, xanchor: "left", xref: "paper", font: { size: 14 } });

// plotly.js offers to upload charts to its maker's cloud unless it is told not to.
const PLOT_CONFIG = {
  showSendToCloud: false,
  showEditInChartStudio: false,
  plotlyServerURL: "",
  responsive: true,
  displaylogo: false,
  displayModeBar: coarse ? false : "hover",
  scrollZoom: false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};

jaxeap.draw = (name, traces, layout) => {
  const element = document.getElementById(`plot-${name}`);
  element.style.minHeight = layout.height ? `${layout.height}px` : "";
  return Plotly.react(element, traces, jaxeap.layout(layout), PLOT_CONFIG);
};

const drawNow = (id) => {
  drawn.add(id);
  drawers.get(id)();
};

const sight = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !drawn.has(entry.target.id)) drawNow(entry.target.id);
    }
  },
  { rootMargin: "500px" },
);

// `draw` runs when the element with this id comes near the window, and on every change of the theme after that.
jaxeap.whenSeen = (id, draw) => {
  const element = document.getElementById(id);
  if (element === null) return;
  drawers.set(id, draw);
  sight.observe(element);
};

jaxeap.redraw = (id) => {
  if (drawn.has(id)) drawers.get(id)();
};

dark.addEventListener("change", () => drawn.forEach((id) => drawers.get(id)()));
addEventListener("beforeprint", () => [...drawers.keys()].filter((id) => !drawn.has(id)).forEach(drawNow));
