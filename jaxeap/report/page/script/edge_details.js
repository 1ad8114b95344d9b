// The edge that the reader has chosen: its numbers, and its score on every question.
const LISTED = 12;

const CHANGE_WORDS = {
  appear: "appears",
  vanish: "vanishes",
  strengthen: "stronger",
  weaken: "weaker",
  unclear: "unclear",
};

jaxeap.edgeDetails = (edges, select) => {
  const questions = jaxeap.read("questions");
  const followed = new Map();
  let scores = null;
  if (questions !== null) {
    jaxeap.unpack(questions.edges).forEach((edge, row) => followed.set(edge, row));
    scores = { base: jaxeap.unpack(questions.base), tuned: jaxeap.unpack(questions.tuned) };
  }
  let chosen = null;
  let listed = [];

  const plot = () => {
    const element = document.getElementById("plot-edge");
    if (chosen === null || !followed.has(chosen)) {
      Plotly.purge(element);
      return;
    }
    const number = questions.ids.length;
    const row = followed.get(chosen) * number;
    const [x, y] = ["base", "tuned"].map((role) => scores[role].subarray(row, row + number));
    const text = questions.ids.map(
      (id, i) =>
        `<b>${jaxeap.plain(id)}</b> ${jaxeap.plain(questions.levels[i])}<br>` +
        `base ${jaxeap.signed(x[i])}, tuned ${jaxeap.signed(y[i])}`,
    );
    const scale = jaxeap.scale([...x, ...y].filter(Number.isFinite).map(Math.abs));
    const ends = [Math.min(0, ...x, ...y), Math.max(0, ...x, ...y)].map(scale.of);
    jaxeap.draw(
      "edge",
      [
        {
          type: "scatter",
          mode: "lines",
          x: ends,
          y: ends,
          hoverinfo: "skip",
          line: { color: jaxeap.colour("quiet"), dash: "dot", width: 1 },
        },
        {
          type: "scatter",
          mode: "markers",
          x: Array.from(x, scale.of),
          y: Array.from(y, scale.of),
          customdata: Array.from(y),
          text,
          hoverinfo: "text",
          marker: {
            size: 8,
            color: jaxeap.colour("tuned"),
            opacity: 0.65,
            line: { width: 1, color: jaxeap.colour("panel") },
          },
        },
      ],
      {
        showlegend: false,
        height: 340,
        margin: { l: 60, r: 10, t: 20, b: 45 },
        xaxis: jaxeap.scaledAxis(scale, { title: "score in base (nats), a point a question" }),
        yaxis: jaxeap.scaledAxis(scale, { title: "score in tuned" }),
      },
    );
    element.removeAllListeners("plotly_hover");
    element.on("plotly_hover", (event) => {
      const i = event.points[0].pointNumber;
      document.getElementById("edge-question").textContent = `Question ${questions.ids[i]}: ${questions.texts[i]}`;
    });
  };

  const choose = (i) => {
    chosen = i;
    const [name, ...lines] = edges.lines(i);
    document.getElementById("edge-name").textContent = name;
    const shown =
      questions === null || questions.ids.length === questions.total
        ? ""
        : ` A point for ${questions.ids.length} of ${questions.total} questions.`;
    const where = followed.has(i)
      ? `${shown} On the dotted line both models score alike.`
      : ` Values question by question are on this page for the ${followed.size} strongest and most changed edges only; the others' are in the folder attribute.`;
    document.getElementById("edge-values").textContent = `${lines.join("; ")}.${where}`;
    document.getElementById("edge-question").textContent = "";
    jaxeap.redraw("plot-edge");
    select(i);
  };

  const row = (i, change) => {
    const line = document.createElement("tr");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = edges.name(i);
    button.addEventListener("click", () => choose(i));
    const name = document.createElement("th");
    name.scope = "row";
    name.append(button);
    const cells = [
      jaxeap.number(edges.base[i]),
      jaxeap.number(edges.tuned[i]),
      jaxeap.signed(edges.difference(i)),
      `${CHANGE_WORDS[change]}${change !== "unclear" && !edges.apart(i) ? " (interval holds 0)" : ""}`,
    ];
    line.append(
      name,
      ...cells.map((text) =>
        Object.assign(document.createElement("td"), { textContent: text, className: text === cells[3] ? "left" : "" }),
      ),
    );
    return line;
  };

  // The edge at the head of the list, so that the reader sees what a choice shows.
  const chooseFirst = () => {
    const first = listed[0];
    if (first !== undefined) choose(first);
  };

  const list = (drawnEdges, changes) => {
    listed = [...drawnEdges]
      .sort((a, b) => Math.abs(edges.difference(b)) - Math.abs(edges.difference(a)))
      .slice(0, LISTED);
    document.querySelector("#edge-list tbody").replaceChildren(...listed.map((i) => row(i, changes.get(i))));
  };

  jaxeap.whenSeen("plot-edge", plot);
  const selectChosen = () => {
    if (chosen !== null) select(chosen);
  };

  return { choose, chooseFirst, list, selectChosen };
};
