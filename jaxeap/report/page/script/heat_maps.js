// Heat maps of cells: an object with rows, columns (names), row[i], column[i], base[i], tuned[i], and for each cell
// difference(i), apart(i), discovered(i), hover(i).
const MOST_NAMES = 40;
const MOST_DOTS = 4000;

const layerOf = (name) => (/^[am](\d+)/.exec(name) || [null, name])[1];

const nodeAxis = (names, title, narrow) => {
  const axis = { title, showgrid: false, zeroline: false, range: [-0.5, names.length - 0.5], ticks: "" };
  if (names.length <= (narrow ? 18 : MOST_NAMES)) {
    return jaxeap.axis({ ...axis, tickvals: names.map((_, i) => i), ticktext: names.map(jaxeap.plain) });
  }
  const starts = new Map();
  names.forEach((name, i) => {
    if (!starts.has(layerOf(name))) starts.set(layerOf(name), i);
  });
  const step = Math.ceil(starts.size / 16);
  // Layers whose label would touch that of the embedding or the logits go unnamed.
  const apart = (at) => at > 0.03 * names.length && at < 0.95 * names.length;
  const shown = [...starts].filter(([layer, at], i) => !/^\d+$/.test(layer) || (i % step === 1 % step && apart(at)));
  return jaxeap.axis({
    ...axis,
    title: `${title}, by layer`,
    tickvals: shown.map(([, i]) => i),
    ticktext: shown.map(([layer]) => layer),
  });
};

const emptyMatrix = (cells) => cells.rows.map(() => new Array(cells.columns.length).fill(null));

const fill = (cells, value, wanted) => {
  const z = emptyMatrix(cells);
  const text = emptyMatrix(cells);
  for (let i = 0; i < cells.length; i++) {
    if (wanted(i)) {
      z[cells.row[i]][cells.column[i]] = value(i);
      text[cells.row[i]][cells.column[i]] = cells.hover(i);
    }
  }
  return { z, text };
};

const mapLayout = (cells, name, title) => {
  const width = document.getElementById(`plot-${name}`).clientWidth;
  const rows = jaxeap.axis(nodeAxis(cells.rows, "source", false));
  const wide = Math.max(1, (width - 160) / cells.columns.length);
  const height = Math.round(Math.min(680, Math.max(280, cells.rows.length * Math.min(30, Math.max(wide, 6)) + 130)));
  return {
    title: jaxeap.title(title),
    height,
    margin: { l: 50, r: 10, t: 40, b: 50 },
    plot_bgcolor: jaxeap.colour("non-edge"),
    xaxis: {
      ...nodeAxis(cells.columns, "destination", width < 500),
      tickangle: cells.columns.length <= MOST_NAMES ? -90 : 0,
    },
    yaxis: { ...rows, ...nodeAxis(cells.rows, "source", false), range: [cells.rows.length - 0.5, -0.5] },
  };
};

const heatTrace = (filled, scale, signed, more) => ({
  type: "heatmap",
  ...filled,
  hoverinfo: "text",
  hoverongaps: false,
  xgap: 1,
  ygap: 1,
  zmin: signed ? -scale.of(scale.largest) : 0,
  zmax: scale.of(scale.largest),
  colorscale: signed ? jaxeap.diverging() : jaxeap.sequential(),
  colorbar: jaxeap.colourBar(scale, signed),
  ...more,
});

const gaps = (cells) => (cells.columns.length > 80 ? { xgap: 0, ygap: 0 } : {});

jaxeap.modelMap = (name, cells, role, scale) => {
  const filled = fill(
    cells,
    (i) => scale.of(cells[role][i]),
    () => true,
  );
  const title = `${role}, mean |score|`;
  return jaxeap.draw(name, [heatTrace(filled, scale, false, gaps(cells))], mapLayout(cells, name, title));
};

// Cells whose interval holds 0 lie in a pale layer of their own; the filter takes cells away altogether.
jaxeap.differenceMap = (name, cells, scale, filter, title) => {
  const kept = jaxeap.FILTERS[filter];
  const value = (i) => scale.of(cells.difference(i));
  const clear = fill(cells, value, (i) => kept(cells, i) && cells.apart(i));
  const pale = fill(cells, value, (i) => kept(cells, i) && !cells.apart(i));
  const dots = { x: [], y: [] };
  let shown = 0;
  for (let i = 0; i < cells.length; i++) {
    if (!kept(cells, i)) continue;
    shown++;
    if (cells.apart(i)) {
      dots.x.push(cells.column[i]);
      dots.y.push(cells.row[i]);
    }
  }
  const traces = [
    heatTrace(clear, scale, true, gaps(cells)),
    heatTrace(pale, scale, true, { opacity: 0.35, showscale: false, ...gaps(cells) }),
  ];
  const room = document.getElementById(`plot-${name}`).clientWidth / cells.columns.length;
  if (dots.x.length <= MOST_DOTS && cells.columns.length <= 140) {
    traces.push({
      type: "scatter",
      mode: "markers",
      ...dots,
      hoverinfo: "skip",
      showlegend: false,
      marker: {
        size: room > 40 ? 7 : 4,
        color: jaxeap.colour("text"),
        line: { color: jaxeap.colour("panel"), width: room > 40 ? 1.5 : 0.5 },
      },
    });
  }
  jaxeap.draw(name, traces, { ...mapLayout(cells, name, title), showlegend: false });
  return { shown, apart: dots.x.length };
};

jaxeap.mapScales = (cells) => {
  const both = [];
  const differences = [];
  for (let i = 0; i < cells.length; i++) {
    both.push(cells.base[i], cells.tuned[i]);
    differences.push(Math.abs(cells.difference(i)));
  }
  return { both: jaxeap.scale(both), difference: jaxeap.scale(differences) };
};

// All single edges as cells of the whole graph.
jaxeap.edgeCells = (edges) => ({
  rows: edges.sources,
  columns: edges.destinations,
  row: edges.source,
  column: edges.destination,
  length: edges.length,
  base: edges.base,
  tuned: edges.tuned,
  difference: edges.difference,
  apart: edges.apart,
  discovered: edges.discovered,
  hover: edges.hover,
});

jaxeap.startMaps = (edges) => {
  const cells = edges.blocks === null ? jaxeap.edgeCells(edges) : jaxeap.blockCells(edges.blocks);
  const scales = jaxeap.mapScales(cells);
  const filter = document.getElementById("edge-filter");
  const said = document.getElementById("edge-filter-count");
  const what = edges.blocks === null ? "edge" : "pair";
  const listen = edges.blocks === null ? () => {} : jaxeap.startBlockMap(edges, filter);
  const drawDifference = () => {
    const found = jaxeap.differenceMap(
      "map-difference",
      cells,
      scales.difference,
      filter.value,
      "tuned − base, mean |score|",
    );
    const apart =
      edges.blocks === null
        ? `${found.apart.toLocaleString("en")} with an interval that leaves 0 out`
        : `${found.apart.toLocaleString("en")} with an edge at a false discovery rate of 5%`;
    said.textContent = `${jaxeap.count(found.shown, what)}${edges.blocks === null ? "" : " of blocks"} shown, ${apart}`;
    said.dataset.shown = found.shown;
    said.dataset.apart = found.apart;
    listen("map-difference");
  };
  jaxeap.whenSeen("plot-map-difference", drawDifference);
  for (const role of ["base", "tuned"]) {
    jaxeap.whenSeen(`plot-map-${role}`, () => {
      jaxeap.modelMap(`map-${role}`, cells, role, scales.both);
      listen(`map-${role}`);
    });
  }
  filter.addEventListener("change", () => {
    jaxeap.redraw("plot-map-difference");
    jaxeap.redraw("plot-map-block");
  });
};
