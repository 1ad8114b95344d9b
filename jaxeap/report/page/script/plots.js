// Lines and points: depth, distribution, breakdowns, audit, overlap, enough, weights.
const ROLES = ["base", "tuned"];
const DASHES = { base: "solid", tuned: "dash" };
const SYMBOLS = { base: "square", tuned: "circle" };

const narrow = () => innerWidth < 600;

const clear = (interval) => interval !== null && (interval[0] > 0 || interval[1] < 0);

const errors = (rows) => ({
  type: "data",
  symmetric: false,
  thickness: 1.5,
  width: 3,
  array: rows.map((row) => (row.interval ? row.interval[1] - row.difference : 0)),
  arrayminus: rows.map((row) => (row.interval ? row.difference - row.interval[0] : 0)),
});

const hollow = (rows, wanted) => ({
  size: 9,
  color: rows.map((row) => jaxeap.colour(wanted(row) ? "text" : "panel")),
  line: { width: 2, color: jaxeap.colour("text") },
});

const spreads = (values) => {
  const positive = values.filter((value) => value > 0);
  return positive.length === values.length && Math.max(...positive) > 30 * Math.min(...positive);
};

// Layers on the left; embedding and logits, often far stronger than all layers, have axes of their own on the right.
jaxeap.drawDepth = (quantity) => {
  const parts = [
    quantity.rows.filter((row) => /^\d+$/.test(row.layer)),
    quantity.rows.filter((row) => !/^\d+$/.test(row.layer)),
  ];
  const both = parts[0].length > 0 && parts[1].length > 0;
  const traces = [];
  const layout = { height: 440, margin: { l: 60, r: 10, t: 40, b: 45 } };
  parts.forEach((rows, part) => {
    if (rows.length === 0) return;
    const suffix = part === 0 ? ["", ""] : ["3", "4"];
    const axes = part === 0 ? ["", "2"] : ["3", "4"];
    const x = rows.map((row) => row.layer);
    for (const role of ROLES) {
      const bands = rows.map((row) => row[`${role}_interval`]);
      traces.push({
        type: "scatter",
        mode: "lines+markers",
        name: role,
        legendgroup: role,
        showlegend: part === 0 || !both,
        x,
        y: rows.map((row) => row[role]),
        xaxis: `x${suffix[0]}`,
        yaxis: `y${axes[0]}`,
        line: { color: jaxeap.colour(role), dash: DASHES[role], width: 2 },
        marker: { symbol: SYMBOLS[role], size: 7 },
        error_y: bands.every(Boolean)
          ? {
              type: "data",
              symmetric: false,
              thickness: 1,
              width: 2,
              array: rows.map((row, i) => bands[i][1] - row[role]),
              arrayminus: rows.map((row, i) => row[role] - bands[i][0]),
            }
          : undefined,
      });
    }
    traces.push({
      type: "scatter",
      mode: "markers",
      name: "tuned − base",
      showlegend: false,
      x,
      y: rows.map((row) => row.difference),
      xaxis: `x${suffix[0]}`,
      yaxis: `y${axes[1]}`,
      error_y: { ...errors(rows), color: jaxeap.colour("text") },
      marker: hollow(rows, (row) => clear(row.interval)),
      text: rows.map(
        (row) =>
          `${row.layer}: ${jaxeap.signed(row.difference)} ${row.interval ? jaxeap.interval(...row.interval) : ""}`,
      ),
      hoverinfo: "text",
    });
    const side = both ? (part === 0 ? [0, narrow() ? 0.66 : 0.8] : [narrow() ? 0.88 : 0.9, 1]) : [0, 1];
    const wide = spreads(rows.flatMap((row) => [row.base, row.tuned])) ? "log" : "linear";
    layout[`xaxis${suffix[0]}`] = jaxeap.axis({
      domain: side,
      type: "category",
      anchor: `y${axes[1]}`,
      title: part === 0 ? "layer" : "",
    });
    layout[`yaxis${axes[0]}`] = jaxeap.axis({
      domain: [0.48, 1],
      anchor: `x${suffix[0]}`,
      type: wide,
      title: part === 0 || !both ? "nats" : "",
      rangemode: "tozero",
      exponentformat: "power",
    });
    layout[`yaxis${axes[1]}`] = jaxeap.axis({
      domain: [0, 0.4],
      anchor: `x${suffix[0]}`,
      title: part === 0 || !both ? "tuned − base" : "",
      zeroline: true,
      rangemode: "tozero",
      exponentformat: "power",
    });
  });
  jaxeap.draw("depth", traces, layout);
};

jaxeap.drawDistribution = (data) => {
  const middles = data.edges.slice(1).map((edge, i) => Math.sqrt(edge * data.edges[i]));
  const line = (role, x, y, shape) => ({
    type: "scatter",
    mode: "lines",
    name: role,
    x,
    y,
    line: { shape, color: jaxeap.colour(role), dash: DASHES[role], width: 2 },
  });
  const x = jaxeap.axis({ type: "log", title: "|score| (nats)", exponentformat: "power", dtick: narrow() ? 2 : 1 });
  jaxeap.draw(
    "bulk",
    ROLES.map((role) => line(role, middles, data.models[role].share, "hvh")),
    {
      height: 340,
      title: jaxeap.title("Bulk"),
      xaxis: x,
      yaxis: jaxeap.axis({ title: "share of scores", rangemode: "tozero" }),
      legend: { orientation: "h", x: 1, xanchor: "right", y: 1.02, yanchor: "bottom" },
    },
  );
  jaxeap.draw(
    "tail",
    ROLES.map((role) => line(role, data.edges.slice(0, -1), data.models[role].at_least, "linear")),
    {
      height: 340,
      title: jaxeap.title("Tail"),
      xaxis: x,
      yaxis: jaxeap.axis({ type: "log", title: "share at least as large", exponentformat: "power", dtick: 1 }),
      legend: { orientation: "h", x: 1, xanchor: "right", y: 1.02, yanchor: "bottom" },
    },
  );
};

jaxeap.startBreakdowns = (data) => {
  const grouping = document.getElementById("breakdown-grouping");
  const metric = document.getElementById("breakdown-metric");
  jaxeap.options(
    grouping,
    Object.entries(data).map(([name, entry]) => [name, entry.title]),
  );
  const metrics = () => {
    const before = metric.value;
    jaxeap.options(
      metric,
      Object.entries(data[grouping.value].metrics).map(([name, entry]) => [name, entry.title]),
    );
    if (before in data[grouping.value].metrics) metric.value = before;
  };
  const draw = () => {
    const { title, rows } = data[grouping.value].metrics[metric.value];
    const found = rows.filter((row) => row.difference !== null);
    const sure = (row) => clear(row.interval) && (row.q_value === null || row.q_value <= 0.05);
    const text = found.map(
      (row) =>
        `<b>${jaxeap.plain(row.member)}</b><br>base ${jaxeap.number(row.base)}, tuned ${jaxeap.number(row.tuned)}<br>` +
        `difference ${jaxeap.signed(row.difference)}<br>interval ${row.interval ? jaxeap.interval(...row.interval) : "none"}` +
        (row.q_value === null ? "" : `<br>q = ${row.q_value.toPrecision(2)}`),
    );
    jaxeap.draw(
      "breakdown",
      [
        {
          type: "scatter",
          mode: "markers",
          y: found.map((row) => row.member),
          x: found.map((row) => row.difference),
          text,
          hoverinfo: "text",
          error_x: { ...errors(found), color: jaxeap.colour("text") },
          marker: hollow(found, sure),
        },
      ],
      {
        height: Math.max(220, 26 * found.length + 120),
        title: jaxeap.title(`${jaxeap.plain(title)}: tuned − base`),
        showlegend: false,
        xaxis: jaxeap.axis({ title: "difference", zeroline: true, zerolinewidth: 2, rangemode: "tozero" }),
        yaxis: jaxeap.axis({ type: "category", autorange: "reversed" }),
      },
    );
  };
  grouping.addEventListener("change", () => {
    metrics();
    draw();
  });
  metric.addEventListener("change", draw);
  metrics();
  jaxeap.whenSeen("plot-breakdown", draw);
};

const two = (value) => (value === null ? "–" : value.toFixed(2).replace("-", "−"));

jaxeap.drawAudit = (role, model) => {
  const scale = jaxeap.scale(model.points.flat().map(Math.abs));
  const [x, y] = [0, 1].map((side) => model.points.map((point) => scale.of(point[side])));
  const ends = [Math.min(...x, ...y), Math.max(...x, ...y)];
  const text = model.points.map(
    ([score, effect], i) =>
      `<b>${jaxeap.plain(model.names ? model.names[i].join(" → ") : `edge ${i}`)}</b><br>score ${jaxeap.signed(score)}<br>exact effect ${jaxeap.signed(effect)}`,
  );
  jaxeap.draw(
    `audit-${role}`,
    [
      {
        type: "scatter",
        mode: "lines",
        x: ends,
        y: ends,
        hoverinfo: "skip",
        line: { color: jaxeap.colour("quiet"), dash: "dot" },
      },
      {
        type: "scatter",
        mode: "markers",
        x,
        y,
        text,
        hoverinfo: "text",
        marker: { color: jaxeap.colour(role), symbol: SYMBOLS[role], size: 8, opacity: 0.75 },
      },
    ],
    {
      height: 380,
      showlegend: false,
      title: jaxeap.title(`${role}: Pearson ${two(model.pearson)}, Spearman ${two(model.spearman)}`),
      xaxis: jaxeap.scaledAxis(scale, { title: "score (nats)" }),
      yaxis: jaxeap.scaledAxis(scale, { title: "exact effect on the loss (nats)" }),
    },
  );
};

// Two plots, for what is compared must come from equally many questions: circuits of all of them on the left, circuits
// of halves, of one model and of both, on the right.
const drawShares = (name, edges, lines) => {
  const known = lines.filter(([, values]) => values.some((value) => value !== null && value !== undefined));
  jaxeap.draw(
    name,
    known.map(([label, y, colour, dash, symbol]) => ({
      type: "scatter",
      mode: "lines+markers",
      name: label,
      x: edges,
      y,
      line: { color: jaxeap.colour(colour), dash, width: 2 },
      marker: { symbol, size: 8 },
      connectgaps: true,
    })),
    {
      height: 420,
      margin: { l: 60, r: 20, t: 100, b: 45 },
      xaxis: jaxeap.axis({
        type: "log",
        title: "edges in each circuit",
        tickvals: edges,
        ticktext: edges.map(String),
      }),
      yaxis: jaxeap.axis({ title: "overlap" }),
    },
  );
};

jaxeap.drawOverlap = (data) =>
  drawShares("overlap", data.edges, [
    ["Jaccard: same edges", data.jaccard, "text", "solid", "diamond"],
    ["weighted overlap", data.weighted_overlap, "yes", "dash", "triangle-up"],
    ["rank correlation of shared edges", data.rank_correlation, "maybe", "dashdot", "x"],
    ["Jaccard by chance", data.chance, "quiet", "dot", "circle-open"],
  ]);

jaxeap.drawHalves = (data) =>
  drawShares("halves", data.edges, [
    ["base on one half, tuned on the other", data.between, "text", "solid", "diamond"],
    ["base on both halves", data.within_base, "base", "solid", "square"],
    ["tuned on both halves", data.within_tuned, "tuned", "dash", "circle"],
    ["by chance", data.chance, "quiet", "dot", "circle-open"],
  ]);

jaxeap.drawEnough = (data) => {
  const dashes = ["solid", "dash", "dot", "dashdot", "longdash"];
  const colours = ["base", "tuned", "yes", "maybe", "text", "quiet"];
  const asked = [...new Set(Object.values(data.curves).flatMap((curve) => curve.examples))].sort((a, b) => a - b);
  jaxeap.draw(
    "enough",
    Object.entries(data.curves).map(([title, curve], i) => ({
      type: "scatter",
      mode: "lines+markers",
      name: jaxeap.plain(title),
      x: curve.examples,
      y: curve.width,
      visible: i < 4 ? true : "legendonly",
      line: { color: jaxeap.colour(colours[i % colours.length]), dash: dashes[i % dashes.length], width: 2 },
    })),
    {
      height: 440,
      margin: { l: 60, r: 20, t: 70, b: 45 },
      xaxis: jaxeap.axis({ type: "log", title: "questions", tickvals: asked, ticktext: asked.map(String) }),
      yaxis: jaxeap.axis({ type: "log", title: "width, relative to all questions" }),
    },
  );
};

jaxeap.drawWeights = (layers) => {
  const x = layers.map((row) => row.layer);
  const bars = (name, key, colour, axis) => ({
    type: "scatter",
    mode: "lines+markers",
    name,
    x,
    y: layers.map((row) => row[key]),
    yaxis: axis,
    line: { color: jaxeap.colour(colour) },
  });
  jaxeap.draw(
    "weights",
    [
      bars("share of entries changed", "changed_share", "base", "y"),
      {
        ...bars("norm of the change / norm of base", "relative_norm", "tuned", "y2"),
        line: { color: jaxeap.colour("tuned"), dash: "dash" },
      },
    ],
    {
      height: 380,
      xaxis: jaxeap.axis({ title: "layer", anchor: "y2", zeroline: false, dtick: layers.length <= 16 ? 1 : undefined }),
      yaxis: jaxeap.axis({ domain: [0.56, 1], range: [-0.03, 1.06], title: "share" }),
      yaxis2: jaxeap.axis({ domain: [0, 0.44], rangemode: "tozero", title: "relative norm" }),
    },
  );
};
