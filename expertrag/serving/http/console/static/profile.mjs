// The experts of a profile, as `expertrag llm show --json` draws them. The page reads the files
// itself, and sends them nowhere.
import { Component, html } from "./html.mjs";
import { count, percent, shown } from "./text.mjs";

const MOST_BYTES = 16_000_000;

const isText = (value) => typeof value === "string";
const isList = (values, isItem) => Array.isArray(values) && values.every(isItem);
const isRow = (row) =>
  isList([row?.layer, row?.top_half], Number.isFinite) &&
  [row.importance, row.heat, row.super_experts].every((values) => isList(values, Number.isFinite)) &&
  row.heat.length === row.importance.length;
const isMap = (map) =>
  isList([map?.model, map?.method], isText) &&
  isList(map.domains, isText) &&
  Number.isFinite(map.tokens) &&
  isList(map.layers, isRow) &&
  map.layers.length > 0;

// Returns the heat map in a text.
export function heatMapOf(name, text) {
  let map = null;
  try {
    map = JSON.parse(text);
  } catch {
    // as every other text that holds no heat map
  }
  if (isMap(map)) return map;
  throw new Error(`${name} holds no heat map: choose a file from expertrag llm show PROFILE --json.`);
}

async function read(file) {
  if (file.size > MOST_BYTES) throw new Error(`${file.name} has over 16 MB, more than a heat map.`);
  return heatMapOf(file.name, await file.text());
}

export class Profile extends Component {
  state = { maps: [], error: null };

  open = async ({ target }) => {
    try {
      this.setState({ maps: await Promise.all([...target.files].map(read)), error: null });
    } catch (error) {
      this.setState({ maps: [], error });
    }
  };

  render(_, { maps, error }) {
    return html`<section class="profile" aria-label="Profile">
      <h2>Experts of a mixture</h2>
      <p class="muted">
        How much each expert matters to your traffic: open what <code>expertrag llm show PROFILE --json</code> printed, one
        file or several. They are read here, and not sent to the server.
      </p>
      <div class="field">
        <label for="profile">Heat maps (JSON)</label>
        <input id="profile" type="file" accept=".json,application/json" multiple onChange=${this.open} />
      </div>
      ${error && html`<p class="warning" role="alert">${shown(error.message)}</p>`}
      ${maps.map((map, place) => html`<${Layers} key=${place} map=${map} />`)}
    </section>`;
  }
}

function Layers({ map }) {
  const label = `${map.model}: ${map.method}, ${map.domains.join(", ")}`;
  return html`<section class="heat" aria-label=${label}>
    <h3>${shown(label)}</h3>
    <p class="muted">
      ${count(map.tokens)} tokens. Full colour: the layer's most important expert; an eighth less for each factor of three
      below it. ◆ super experts.
    </p>
    <div class="scrolled" tabindex="0" role="region" aria-label="Table: ${label}">
      <table class="dense">
        <thead>
          <tr>
            <th scope="col"><span class="hidden">Layer</span></th>
            <th scope="col" title="Share of the layer's importance that the more important half of its experts holds">top half</th>
            <th scope="colgroup" colspan=${map.layers[0].heat.length}>experts, from 0</th>
          </tr>
        </thead>
        <tbody>
          ${map.layers.map((row) => html`<${Layer} key=${row.layer} row=${row} />`)}
        </tbody>
      </table>
    </div>
  </section>`;
}

function Layer({ row }) {
  const supers = new Set(row.super_experts);
  return html`<tr>
    <th scope="row">layer ${row.layer}</th>
    <td class="figure">${percent(row.top_half)}</td>
    ${row.heat.map((heat, expert) => {
      const title = `layer ${row.layer}, expert ${expert}: ${row.importance[expert].toPrecision(3)}`;
      const mark = supers.has(expert);
      return html`<td
        key=${expert}
        class=${mark ? "cell super" : "cell"}
        style=${{ "--heat": `${Math.round(100 * heat)}%` }}
        title=${mark ? `${title}, super expert` : title}
      >
        ${mark ? "◆" : ""}
      </td>`;
    })}
  </tr>`;
}
