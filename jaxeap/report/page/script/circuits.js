// The two circuits: one threshold, the same places of nodes, the same view.
const MOST_DRAWN = 2500;
const FIRST_DRAWN = 40;
const STEPS = 1000;
const MOST_CURVED = 500;
const MOST_IDLE = 60;
const CHANGES = [
  ["appear", "appears: in tuned alone"],
  ["strengthen", "in both, stronger"],
  ["vanish", "vanishes: in base alone"],
  ["weaken", "in both, weaker"],
  ["unclear", "in both, interval holds 0"],
];

const nodeOf = (name) => name.replace(/<.>$/, "");

// Edges that can be drawn at all, the strongest first; and the thresholds between which the slider moves.
const drawable = (edges) => {
  const strengths = Float32Array.from({ length: edges.length }, (_, i) => edges.strength(i));
  const least = strengths.slice().sort()[Math.max(0, edges.length - MOST_DRAWN)];
  const order = [];
  strengths.forEach((strength, i) => {
    if (strength > 0 && strength >= least) order.push(i);
  });
  order.sort((a, b) => strengths[b] - strengths[a]);
  order.length = Math.min(order.length, MOST_DRAWN);
  if (order.length === 0) return null;
  const lowest = edges.strength(order[order.length - 1]);
  const highest = edges.strength(order[0]);
  const at = (step) => (step <= 0 ? lowest : step >= STEPS ? highest : lowest * (highest / lowest) ** (step / STEPS));
  const first = edges.strength(order[Math.min(FIRST_DRAWN, Math.ceil(order.length / 2)) - 1]);
  const start = highest > lowest ? Math.floor((STEPS * Math.log(first / lowest)) / Math.log(highest / lowest)) : 0;
  return { order, at, start };
};

jaxeap.changeOf = (edges, i, threshold) => {
  const inBase = edges.base[i] >= threshold;
  const inTuned = edges.tuned[i] >= threshold;
  if (!inBase && !inTuned) return null;
  if (!inBase) return "appear";
  if (!inTuned) return "vanish";
  if (!edges.apart(i)) return "unclear";
  return edges.difference(i) > 0 ? "strengthen" : "weaken";
};

// Attention to the left, feed-forward to the right, the embedding at the bottom and the logits on top.
const places = (edges, names) => {
  const layers = Math.max(-1, ...names.map((name) => Number(layerOf(name))).filter(Number.isFinite)) + 1;
  const heads = edges.level === "head";
  const inRow = new Map();
  const place = new Map();
  const height = heads ? 100 : 150;
  for (const name of names) {
    if (name === "embed") place.set(name, { x: 0, y: 110 });
    else if (name === "logits") place.set(name, { x: 0, y: -layers * height + (heads ? -20 : 40) });
    else if (name[0] === "m") place.set(name, { x: heads ? 0 : 130, y: -(Number(layerOf(name)) + 0.5) * height });
    else if (!heads) place.set(name, { x: -130, y: -Number(layerOf(name)) * height });
    else inRow.set(layerOf(name), [...(inRow.get(layerOf(name)) || []), name]);
  }
  for (const [layer, row] of inRow) {
    row.forEach((name, i) => place.set(name, { x: (i - (row.length - 1) / 2) * 70, y: -Number(layer) * height }));
  }
  return place;
};

// How large a pixel of the fitted graph is: labels and lines of a large graph are drawn so much larger.
const unitOf = (place) => {
  const [x, y] = ["x", "y"].map((axis) => [...place.values()].map((point) => point[axis]));
  const extent = (values) => Math.max(...values) - Math.min(...values);
  return Math.max(1, extent(x) / 460, extent(y) / 520);
};

// Edges within a column bow outwards, and those of queries, keys and values beside each other.
const bend = (source, destination, place, unit) => {
  const [from, to] = [place.get(source), place.get(nodeOf(destination))];
  const kind = { q: -1, k: 0, v: 1 }[/<(.)>$/.exec(destination)?.[1]] || 0;
  const span = Math.abs(from.y - to.y);
  const side = from.x === to.x && from.x !== 0 ? Math.sign(from.x) : 0;
  return side * (10 + 0.28 * span) + kind * 14 * unit;
};

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

const elements = (edges, order) => {
  const names = [...new Set([...edges.sources, ...edges.destinations.map(nodeOf)])];
  const place = places(edges, names);
  const unit = unitOf(place);
  const strongest = Math.sqrt(edges.strength(order[0]));
  const used = new Set(
    order.flatMap((i) => [edges.sources[edges.source[i]], nodeOf(edges.destinations[edges.destination[i]])]),
  );
  const of = (role) => [
    ...names
      .filter((name) => used.has(name))
      .map((id) => ({ data: { id }, position: { ...place.get(id) }, grabbable: false })),
    ...order.map((i) => {
      const [source, destination] = [edges.sources[edges.source[i]], edges.destinations[edges.destination[i]]];
      return {
        classes: "hidden",
        data: {
          id: `e${i}`,
          edge: i,
          source,
          target: nodeOf(destination),
          bend: bend(source, destination, place, unit),
          width: 1.2 + (6 * Math.sqrt(edges[role][i])) / strongest,
        },
      };
    }),
  ];
  return { of, unit, large: used.size > MOST_IDLE };
};

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

jaxeap.startCircuits = (edges) => {
  const found = drawable(edges);
  const said = document.getElementById("drawn");
  const slider = document.getElementById("threshold");
  if (found === null) {
    said.textContent = "Every score is 0: there is nothing to draw.";
    slider.disabled = true;
    return;
  }
  const made = elements(edges, found.order);
  const details = jaxeap.edgeDetails(edges, (i) => select(i));
  const graphs = {};
  const select = (i) =>
    Object.values(graphs).forEach((graph) => {
      graph.$(":selected").unselect();
      graph.$id(`e${i}`).select();
    });

  const show = () => {
    const threshold = found.at(Number(slider.value));
    const changes = new Map(found.order.map((i) => [i, jaxeap.changeOf(edges, i, threshold)]));
    const counts = Object.fromEntries(CHANGES.map(([change]) => [change, 0]));
    const number = { base: 0, tuned: 0 };
    for (const [i, change] of changes) {
      if (change === null) continue;
      counts[change]++;
      for (const role of ["base", "tuned"]) if (edges[role][i] >= threshold) number[role]++;
    }
    const together = Object.values(counts).reduce((sum, count) => sum + count, 0);
    for (const [role, graph] of Object.entries(graphs)) {
      graph.batch(() =>
        graph.edges().forEach((edge) => {
          const i = edge.data("edge");
          const change = edges[role][i] >= threshold ? changes.get(i) : null;
          edge.classes([
            change ?? "hidden",
            ...(change && !edges.apart(i) ? ["unsure"] : []),
            ...(together > MOST_CURVED ? ["many"] : []),
          ]);
        }),
      );
      graph.batch(() =>
        graph.nodes().forEach((node) =>
          node.toggleClass(
            made.large ? "hidden" : "idle",
            node.connectedEdges().every((edge) => edge.hasClass("hidden")),
          ),
        ),
      );
    }
    document.getElementById("threshold-value").textContent = jaxeap.number(threshold);
    slider.setAttribute("aria-valuetext", `${jaxeap.number(threshold)} nats, ${together} edges`);
    document.getElementById("drawn-base").textContent = jaxeap.count(number.base, "edge");
    document.getElementById("drawn-tuned").textContent = jaxeap.count(number.tuned, "edge");
    const capped =
      found.order.length === MOST_DRAWN
        ? ` The slider ends where ${MOST_DRAWN.toLocaleString("en")} edges are drawn.`
        : "";
    said.textContent =
      `${together.toLocaleString("en")} of ${jaxeap.count(edges.total, "edge")} drawn: ` +
      `${number.base.toLocaleString("en")} in base, ${number.tuned.toLocaleString("en")} in tuned.${capped}`;
    Object.assign(said.dataset, { threshold, base: number.base, tuned: number.tuned, together, ...counts });
    legend(counts);
    details.list(
      found.order.filter((i) => changes.get(i) !== null),
      changes,
    );
  };

  slider.max = STEPS;
  slider.value = Math.max(0, found.start);
  slider.addEventListener("input", show);
  show();
  details.chooseFirst();

  const fit = () => {
    graphs.base.resize().fit(undefined, 20);
    graphs.tuned.resize();
  };
  jaxeap.whenSeen("graph-base", () => {
    if (graphs.base === undefined) {
      for (const role of ["base", "tuned"]) {
        graphs[role] = makeGraph(role, made);
        graphs[role].on("tap", "edge", (event) => details.choose(event.target.data("edge")));
      }
      moveTogether(graphs.base, graphs.tuned);
      fit();
      show();
      details.selectChosen();
    } else {
      Object.values(graphs).forEach((graph) => graph.style(graphStyle(made)));
    }
  });
  document.getElementById("fit").addEventListener("click", () => graphs.base && fit());
  addEventListener("resize", () => graphs.base && fit());
  jaxeap.graphs = graphs;
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
