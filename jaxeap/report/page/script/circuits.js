// The two circuits under one threshold: which edges the slider can draw, how each changed, and what is shown and said.
const MOST_DRAWN = 2500;
const FIRST_DRAWN = 40;
const STEPS = 1000;
const MOST_CURVED = 500;

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
