// Where the nodes stand, alike for both models, and how edges bend: the elements that cytoscape gets for each model.
const MOST_IDLE = 60;

const nodeOf = (name) => name.replace(/<.>$/, "");

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
