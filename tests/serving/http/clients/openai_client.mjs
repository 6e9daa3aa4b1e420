// OpenAI's JavaScript client: completions, streams, embeddings, responses, errors.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [url, question] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
const messages = [{ role: "user", content: question }];
const asked = { model: "default:always", messages, max_tokens: 40 };

const models = [];
for await (const model of client.models.list()) models.push(model.id);
assert.ok(models.includes("default:strict"));

const whole = await client.chat.completions.create(asked);
const { content, annotations } = whole.choices[0].message;
assert.ok(content.trim());
for (const { url_citation: cited } of annotations) {
  assert.match(content.slice(cited.start_index, cited.end_index), /^\[\d+\]$/);
  assert.ok(cited.url.includes("/#/document?"));
}

const stream = await client.chat.completions.create({
  ...asked,
  stream: true,
  stream_options: { include_usage: true },
});
let text = "";
let last;
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta?.content ?? "";
  last = chunk;
}
assert.equal(text, content);
assert.deepEqual(last.choices, []);
assert.ok(last.usage.total_tokens > 0);

const gathered = client.chat.completions.stream({ ...asked, max_tokens: 200 });
assert.ok(await gathered.finalContent());

const embeddings = await client.embeddings.create({ model: "default", input: ["a rose", "a page"] });
assert.deepEqual(embeddings.data.map((item) => item.embedding.length), [384, 384]);

const response = await client.responses.create({ model: "default:always", input: question });
assert.ok(response.output_text.trim());
const types = [];
const events = await client.responses.create({
  model: "default:always",
  input: question,
  stream: true,
});
for await (const event of events) types.push(event.type);
assert.equal(types[0], "response.created");
assert.equal(types.at(-1), "response.completed");

await assert.rejects(
  client.chat.completions.create({ ...asked, model: "gpt-4o" }),
  OpenAI.NotFoundError,
);
const image = { type: "image_url", image_url: { url: "data:," } };
await assert.rejects(
  client.chat.completions.create({ ...asked, messages: [{ role: "user", content: [image] }] }),
  OpenAI.BadRequestError,
);
