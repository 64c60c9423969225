// Serves aimock with jobs that take a while, and prints its address.
//   node aimock.mjs FOLDER_OF_THE_PACKAGE KEY
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, key] = process.argv.slice(2);
const { LLMock } = await import(pathToFileURL(join(folder, "dist", "index.js")));
const pace = { pollsBeforeInProgress: 1, pollsBeforeCompleted: 3 };
const mock = new LLMock({
  port: 0,
  auth: { apiKeys: [key] },
  falQueue: pace,
  openRouterVideo: pace,
});
const bytes = Buffer.from("the bytes of a cat").toString("base64");
const refused = { error: { message: "not this one", type: "invalid_request_error" }, status: 400 };
mock.onVideo("a cat", { video: { id: "v1", status: "completed", b64: bytes, cost: 0.75 } });
mock.onVideo("a dog", { video: { id: "v2", status: "failed", error: "no luck" } });
mock.onVideo("an elk", refused);
mock.onFalVideo("fal-ai/veo3.1/fast", {
  video: { id: "v1", status: "completed", url: "https://v3.fal.media/cat.mp4" },
});
await mock.start();
console.log(JSON.stringify({ url: mock.url }));
