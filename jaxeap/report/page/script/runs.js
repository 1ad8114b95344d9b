// Runs side by side: one metric's difference in each, a point a run or a line along a series.
jaxeap.start("runs", ({ runs, metrics, axis }) => {
  const metric = document.getElementById("run-metric");
  const draw = () => {
    const { title, rows } = metrics[Number(metric.value)];
    const known = rows
      .map((row, i) => ({ ...row, name: runs[i], at: axis === null ? runs[i] : axis.values[i] }))
      .filter((row) => row.difference !== null);
    if (axis !== null) known.sort((a, b) => a.at - b.at);
    const text = known.map(
      (row) =>
        `<b>${jaxeap.plain(row.name)}</b><br>base ${jaxeap.number(row.base)}, tuned ${jaxeap.number(row.tuned)}<br>` +
        `difference ${jaxeap.signed(row.difference)}<br>interval ${row.interval ? jaxeap.interval(...row.interval) : "none"}`,
    );
    jaxeap.draw(
      "runs",
      [
        {
          type: "scatter",
          mode: axis === null ? "markers" : "lines+markers",
          x: known.map((row) => row.at),
          y: known.map((row) => row.difference),
          text,
          hoverinfo: "text",
          line: { color: jaxeap.colour("tuned") },
          error_y: { ...errors(known), color: jaxeap.colour("text") },
          marker: hollow(known, (row) => clear(row.interval)),
        },
      ],
      {
        height: 420,
        showlegend: false,
        title: jaxeap.title(`${jaxeap.plain(title)}: tuned − base`),
        xaxis: jaxeap.axis({
          type: axis === null ? "category" : "linear",
          title: axis === null ? "run" : jaxeap.plain(axis.title),
        }),
        yaxis: jaxeap.axis({ title: "difference", zeroline: true, zerolinewidth: 2, rangemode: "tozero" }),
      },
    );
  };
  metric.addEventListener("change", draw);
  jaxeap.whenSeen("plot-runs", draw);
});
