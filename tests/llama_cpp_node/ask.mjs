// Asks llama.cpp. Reads one JSON document from standard input and writes one to standard output:
// {model, lora?, texts: [text], prompts: [[token]], steps} gives
// {tokens: [[token] of each text], answers: [[[token, log-probability] of each step] of each prompt]}.
import {getLlama} from "node-llama-cpp";

const asked = JSON.parse(await new Response(process.stdin).text());
const llama = await getLlama({gpu: false, build: "never", skipDownload: true, maxThreads: 1, logLevel: "error", numa: false});
const model = await llama.loadModel({modelPath: asked.model, gpuLayers: 0});
const tokens = asked.texts.map((text) => [...model.tokenize(text, true)]);
const answers = [];
for (const prompt of asked.prompts)
    answers.push(await answer(prompt));
process.stdout.write(JSON.stringify({tokens, answers, model: model.typeDescription}));
await model.dispose();
await llama.dispose();

async function answer(prompt) {
    const context = await model.createContext({
        contextSize: Math.max(64, prompt.length + asked.steps + 1), threads: 1, flashAttention: false,
        lora: asked.lora == null ? undefined : {adapters: [{filePath: asked.lora}]}
    });
    const sequence = context.getSequence();
    const found = [];
    let input = prompt;
    while (found.length < asked.steps) {
        const last = [input.at(-1), {generateNext: {logits: true, options: {temperature: 0}}}];
        const results = await sequence.controlledEvaluate([...input.slice(0, -1), last]);
        const logits = [...results.at(-1).next.logits];
        const highest = logits.reduce((best, entry) => entry[1] > best[1] ? entry : best);
        const total = logits.reduce((sum, entry) => sum + Math.exp(entry[1] - highest[1]), 0);
        found.push([highest[0], -Math.log(total)]);
        input = [highest[0]];
    }
    await context.dispose();
    return found;
}
