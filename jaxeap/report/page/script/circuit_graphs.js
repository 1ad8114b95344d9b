// The drawn graph of one circuit: colours and lines by change, the legend to them, and two views that move together.
const CHANGES = [
  ["appear", "appears: in tuned alone"],
  ["strengthen", "in both, stronger"],
  ["vanish", "vanishes: in base alone"],
  ["weaken", "in both, weaker"],
  ["unclear", "in both, interval holds 0"],
];

// Nodes are smaller where there are many.
const graphStyle = ({ unit, large }, size = large ? 0.62 * unit : unit) => [
  {
    selector: "node",
    style: {
      "background-color": jaxeap.colour("soft"),
      "border-color": jaxeap.colour("quiet"),
      "border-width": size,
      shape: "round-rectangle",
      width: (node) => size * (14 + 8 * node.id().length),
      height: 24 * size,
      label: "data(id)",
      color: jaxeap.colour("text"),
      "font-size": 14 * size,
      "text-valign": "center",
      "font-family": "system-ui, sans-serif",
    },
  },
  { selector: "node.idle", style: { opacity: 0.35 } },
  {
    selector: "edge",
    style: {
      width: (edge) => unit * edge.data("width"),
      "curve-style": "unbundled-bezier",
      "target-arrow-shape": "triangle",
      "control-point-distances": "data(bend)",
      "control-point-weights": 0.5,
      "arrow-scale": 0.9,
      opacity: 0.85,
    },
  },
  { selector: "edge.many", style: { "curve-style": "haystack", "haystack-radius": 0.3, opacity: 0.6 } },
  ...CHANGES.map(([change]) => ({
    selector: `edge.${change}`,
    style: {
      "line-color": jaxeap.colour(change),
      "target-arrow-color": jaxeap.colour(change),
    },
  })),
  { selector: "edge.unclear", style: { opacity: 0.5 } },
  { selector: "edge.unsure", style: { "line-style": "dashed" } },
  { selector: ".hidden", style: { display: "none" } },
  {
    selector: "edge:selected",
    style: {
      "line-color": jaxeap.colour("text"),
      "target-arrow-color": jaxeap.colour("text"),
      opacity: 1,
      "overlay-color": jaxeap.colour("focus"),
      "overlay-opacity": 0.25,
      "overlay-padding": 4 * unit,
    },
  },
];

const makeGraph = (role, made) => {
  const graph = cytoscape({
    container: document.getElementById(`graph-${role}`),
    elements: made.of(role),
    style: graphStyle(made),
    layout: { name: "preset", padding: 20 },
    minZoom: 0.02,
    maxZoom: 6,
    boxSelectionEnabled: false,
    autoungrabify: true,
    // The wheel scrolls the page until the reader has clicked into the graph; on a touch screen two fingers move it.
    userZoomingEnabled: false,
    userPanningEnabled: !coarse,
    pixelRatio: "auto",
    textureOnViewport: made.large,
  });
  graph.on("tapstart", () => graph.userZoomingEnabled(true));
  graph.container().addEventListener("pointerleave", () => graph.userZoomingEnabled(false));
  return graph;
};

const moveTogether = (one, other) => {
  let moving = false;
  const follow = (from, to) =>
    from.on("viewport", () => {
      if (moving) return;
      moving = true;
      to.viewport({ zoom: from.zoom(), pan: { ...from.pan() } });
      moving = false;
    });
  follow(one, other);
  follow(other, one);
};

const legend = (counts) => {
  document
    .getElementById("change-legend")
    .replaceChildren(
      ...CHANGES.map(([change, words]) => legendEntry(jaxeap.colour(change), `${words} (${counts[change]})`)),
      legendEntry(jaxeap.colour("text"), "dashed: interval of the change holds 0", "dashed"),
      legendEntry(jaxeap.colour("text"), "in a halo: the chosen edge", "chosen"),
    );
};

const legendEntry = (colour, words, style = "") => {
  const entry = document.createElement("li");
  const line = document.createElement("i");
  line.style.borderTopColor = colour;
  entry.className = style;
  entry.append(line, words);
  return entry;
};
