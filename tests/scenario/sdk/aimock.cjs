// A mock of many providers, written by others: prints its URL, ends with its stdin. Strict: what it has no answer for,
// or what comes without the key, is an error.
"use strict";

const { LLMock } = require("@copilotkit/aimock");

const any = /[^]*/;
const mock = new LLMock({ port: 0, logLevel: "silent", strict: true, auth: { apiKeys: ["sk-mock"] } });

mock.onMessage(any, { content: "Hello from the other mock." });
mock.onEmbedding(any, { embedding: [0.25, -0.5, 0.75] });
mock.onImage(any, { image: { b64Json: "iVBORw0KGgo=" } });
mock.onSpeech(any, { audio: Buffer.from("ID3\x04\0\0\0\0\0\0music", "latin1").toString("base64") });
mock.onTranscription({ transcription: { text: "hello from a file" } });
mock.onRerank(any, [{ index: 0, relevance_score: 0.9 }]);
mock.onModerate(any, { flagged: false, categories: { violence: false } });

mock.start().then(() => console.log(mock.url));
process.stdin.on("end", () => mock.stop().then(() => process.exit(0)));
process.stdin.resume();
