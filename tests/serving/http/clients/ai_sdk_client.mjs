// Vercel's AI SDK: text, stream, object and embeddings by its provider for compatible servers.
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, Output, streamText } from "ai";
import { z } from "zod";

const [url, question] = process.argv.slice(2);
const provider = createOpenAICompatible({
  name: "expertrag",
  baseURL: `${url}/v1`,
  apiKey: "none",
  supportsStructuredOutputs: true,
  includeUsage: true,
});
const asked = { model: provider("default:always"), prompt: question, maxOutputTokens: 60 };

const whole = await generateText({ ...asked, system: "Be brief." });
assert.ok(whole.text.trim());
assert.ok(whole.usage.outputTokens > 0);

const stream = streamText({ ...asked, system: "Be brief." });
let text = "";
for await (const piece of stream.textStream) text += piece;
assert.equal(text, whole.text);
assert.ok((await stream.usage).outputTokens > 0);
assert.equal(await stream.finishReason, whole.finishReason);

const schema = z.object({ word: z.string().max(12) });
const made = await generateText({ ...asked, output: Output.object({ schema }) });
assert.ok(schema.parse(made.output));

const { embeddings } = await embedMany({
  model: provider.textEmbeddingModel("default"),
  values: ["a rose", "a page"],
});
assert.deepEqual(embeddings.map((item) => item.length), [384, 384]);
