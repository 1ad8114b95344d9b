// A large graph by blocks, and the single edges between two blocks that the reader chooses.
jaxeap.blockCells = (blocks) => {
  const [base, tuned, number, apart, discovered] = ["base", "tuned", "edges", "apart", "discovered"].map((name) =>
    jaxeap.unpack(blocks[name]),
  );
  const places = [];
  number.forEach((count, place) => {
    if (count > 0) places.push(place);
  });
  const width = blocks.destinations.length;
  const at = (array) => places.map((place) => array[place]);
  const cells = {
    rows: blocks.sources,
    columns: blocks.destinations,
    length: places.length,
    row: places.map((place) => Math.floor(place / width)),
    column: places.map((place) => place % width),
    base: at(base),
    tuned: at(tuned),
    edges: at(number),
    clear: at(apart),
    found: at(discovered),
  };
  cells.difference = (i) => cells.tuned[i] - cells.base[i];
  // Some of a block's many intervals leave 0 out by chance alone, so a block counts by the false discovery rate.
  cells.apart = (i) => cells.found[i] > 0;
  cells.discovered = cells.apart;
  cells.hover = (i) =>
    [
      `<b>${jaxeap.plain(`${cells.rows[cells.row[i]]} → ${cells.columns[cells.column[i]]}`)}</b>`,
      `${jaxeap.count(cells.edges[i], "edge")}, mean over them:`,
      `base ${jaxeap.number(cells.base[i])}, tuned ${jaxeap.number(cells.tuned[i])} nats`,
      `difference ${jaxeap.signed(cells.difference(i))}`,
      `interval leaves 0 out: ${cells.clear[i]} (by chance about ${Math.round(cells.edges[i] / 20)})`,
      `false discovery rate 5%: ${cells.found[i]}`,
    ].join("<br>");
  return cells;
};

const edgesBetween = (edges, sourceBlock, destinationBlock) => {
  const { source_block: rowsBlock, destination_block: columnsBlock } = edges.blocks;
  const rows = edges.sources.map((_, i) => i).filter((i) => rowsBlock[i] === sourceBlock);
  const columns = edges.destinations.map((_, i) => i).filter((i) => columnsBlock[i] === destinationBlock);
  const rowAt = new Map(rows.map((node, place) => [node, place]));
  const columnAt = new Map(columns.map((node, place) => [node, place]));
  const kept = [];
  for (let i = 0; i < edges.length; i++) {
    if (rowAt.has(edges.source[i]) && columnAt.has(edges.destination[i])) kept.push(i);
  }
  return {
    rows: rows.map((i) => edges.sources[i]),
    columns: columns.map((i) => edges.destinations[i]),
    length: kept.length,
    row: kept.map((i) => rowAt.get(edges.source[i])),
    column: kept.map((i) => columnAt.get(edges.destination[i])),
    base: kept.map((i) => edges.base[i]),
    tuned: kept.map((i) => edges.tuned[i]),
    difference: (i) => edges.difference(kept[i]),
    apart: (i) => edges.apart(kept[i]),
    discovered: (i) => edges.discovered(kept[i]),
    hover: (i) => edges.hover(kept[i]),
  };
};

// Starts the map of single edges; what it returns lets clicks on a cell of a drawn map choose the pair of blocks.
jaxeap.startBlockMap = (edges, filter) => {
  const { blocks } = edges;
  const number = jaxeap.unpack(blocks.edges);
  const source = document.getElementById("block-source");
  const destination = document.getElementById("block-destination");
  const said = document.getElementById("block-count");
  jaxeap.options(
    source,
    blocks.sources.map((name, i) => [i, name]),
  );
  jaxeap.options(
    destination,
    blocks.destinations.map((name, i) => [i, name]),
  );
  let strongest = 0;
  for (let i = 1; i < edges.length; i++) if (edges.strength(i) > edges.strength(strongest)) strongest = i;
  source.value = blocks.source_block[edges.source[strongest]];
  destination.value = blocks.destination_block[edges.destination[strongest]];
  const draw = () => {
    const from = Number(source.value);
    const to = Number(destination.value);
    const cells = edgesBetween(edges, from, to);
    const total = number[from * blocks.destinations.length + to];
    const pair = `${blocks.sources[from]} → ${blocks.destinations[to]}`;
    said.textContent =
      total === 0
        ? "there is no edge from this block to that one"
        : `${cells.length.toLocaleString("en")} of ${jaxeap.count(total, "edge")} are among those on this page`;
    jaxeap.differenceMap(
      "map-block",
      cells,
      jaxeap.mapScales(cells).difference,
      filter.value,
      `${jaxeap.plain(pair)}: tuned − base, mean |score|`,
    );
  };
  jaxeap.whenSeen("plot-map-block", draw);
  for (const select of [source, destination]) select.addEventListener("change", draw);
  const choose = (event) => {
    source.value = event.points[0].y;
    destination.value = event.points[0].x;
    draw();
    document.getElementById("block-choice").scrollIntoView({ block: "nearest" });
  };
  const listening = new Set();
  return (name) => {
    if (!listening.has(name)) document.getElementById(`plot-${name}`).on("plotly_click", choose);
    listening.add(name);
  };
};
