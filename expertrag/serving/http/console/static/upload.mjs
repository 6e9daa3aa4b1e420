// Adds text files, or a text that is typed, to a collection.
import { post } from "./api.mjs";
import { Component, createRef, html } from "./html.mjs";
import { state } from "./state.mjs";
import { count, several, shown } from "./text.mjs";

// A request may have 8 MiB, and JSON writes some characters longer.
const MOST_BYTES = 4_000_000;

async function read(file) {
  const data = await file.arrayBuffer();
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch {
    throw new Error(`${file.name} is not text in UTF-8; add it by expertrag index add.`);
  }
}

export class Upload extends Component {
  state = { busy: false, error: null, skipped: [] };
  files = createRef();
  id = createRef();
  text = createRef();

  send = async (gather) => {
    this.setState({ busy: true, error: null, skipped: [] });
    try {
      const documents = await gather();
      const report = await post("documents/upsert", { documents, collection: state.collection });
      this.setState({ busy: false, skipped: report.items.filter((item) => item.error) });
      this.props.onDone(
        `${several(report.added, "document")} added, ${count(report.changed)} changed; generation ${count(report.generation)}.`,
      );
    } catch (error) {
      this.setState({ busy: false, error });
    }
  };

  upload = () =>
    this.send(async () => {
      const files = [...this.files.current.files];
      if (files.reduce((sum, file) => sum + file.size, 0) > MOST_BYTES) {
        throw new Error("These files have over 4 MB; choose fewer, or add them by expertrag index add.");
      }
      const documents = await Promise.all(
        files.map(async (file) => ({ id: file.name, title: file.name, text: await read(file) })),
      );
      this.files.current.value = "";
      return documents;
    });

  write = (event) => {
    event.preventDefault();
    const [id, text] = [this.id.current.value.trim(), this.text.current.value];
    if (id && text.trim()) this.send(async () => [{ id, text }]);
  };

  render(_, { busy, error, skipped }) {
    return html`<details class="more">
      <summary>Add documents</summary>
      <div class="upload">
        <div class="field">
          <label for="files">Text files in UTF-8</label>
          <input id="files" ref=${this.files} type="file" multiple disabled=${busy} onChange=${this.upload} />
        </div>
        <form onSubmit=${this.write}>
          <div class="field"><label for="new-id">Or an id</label><input id="new-id" ref=${this.id} type="text" required /></div>
          <div class="field">
            <label for="new-text">and its text</label><textarea id="new-text" ref=${this.text} rows="4" dir="auto" required></textarea>
          </div>
          <button type="submit" class="quiet" disabled=${busy}>${busy ? "Adding" : "Add"}</button>
        </form>
        ${error && html`<p class="warning" role="alert">${error.message}</p>`}
        ${skipped.length > 0 &&
        html`<div role="alert">
          <p class="warning">${several(skipped.length, "document")} left out:</p>
          <ul class="skipped">
            ${skipped.map((item) => html`<li key=${item.id}><bdi>${shown(item.id)}</bdi>: ${shown(item.error)}</li>`)}
          </ul>
        </div>`}
      </div>
    </details>`;
  }
}
