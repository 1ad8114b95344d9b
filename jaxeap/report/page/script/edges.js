// The edges that the page holds, as parallel arrays, and what may be said of each.
jaxeap.loadEdges = () => {
  const data = jaxeap.read("edges");
  if (data === null) return null;
  const edges = { ...data, source: jaxeap.unpack(data.source), destination: jaxeap.unpack(data.destination) };
  for (const [name, packed] of Object.entries(data.arrays)) edges[name] = jaxeap.unpack(packed);
  edges.length = edges.source.length;
  edges.name = (i) => `${edges.sources[edges.source[i]]} → ${edges.destinations[edges.destination[i]]}`;
  edges.difference = (i) => edges.tuned[i] - edges.base[i];
  edges.apart = (i) => edges.low !== undefined && (edges.low[i] > 0 || edges.high[i] < 0);
  edges.discovered = (i) => edges.q_value !== undefined && edges.q_value[i] <= 0.05;
  edges.strength = (i) => Math.max(edges.base[i], edges.tuned[i]);
  edges.lines = (i) => [
    edges.name(i),
    `base ${jaxeap.number(edges.base[i])}, tuned ${jaxeap.number(edges.tuned[i])} nats`,
    `difference ${jaxeap.signed(edges.difference(i))}`,
    `interval ${edges.low === undefined ? "none" : jaxeap.interval(edges.low[i], edges.high[i])}` +
      `, ${edges.apart(i) ? "leaves 0 out" : "holds 0"}`,
    ...(edges.q_value === undefined || Number.isNaN(edges.q_value[i])
      ? []
      : [`q = ${edges.q_value[i].toPrecision(2)}`]),
    ...(edges.base_signed === undefined
      ? []
      : [`mean with sign: ${jaxeap.signed(edges.base_signed[i])}, ${jaxeap.signed(edges.tuned_signed[i])}`]),
  ];
  edges.hover = (i) => {
    const [name, ...rest] = edges.lines(i).map(jaxeap.plain);
    return [`<b>${name}</b>`, ...rest].join("<br>");
  };
  return edges;
};

jaxeap.FILTERS = {
  all: () => true,
  apart: (cells, i) => cells.apart(i),
  discovered: (cells, i) => cells.discovered(i),
};
