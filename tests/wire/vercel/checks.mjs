// What the Vercel AI SDK does with this server, through each family: run as `node checks.mjs URL`.
// The server serves the engines of openai_engines.py. Prints every check's failure by name, "" for none.

import assert from 'node:assert/strict'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { createOpenRouter } from '@openrouter/ai-sdk-provider'
import { generateText, Output, stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'

const url = process.argv[2]
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: 'any' })
const compatible = createOpenAICompatible({ name: 'haiga', baseURL: `${url}/v1`, supportsStructuredOutputs: true, includeUsage: true })
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey: 'any' })
const openrouter = createOpenRouter({ baseURL: `${url}/api/v1`, apiKey: 'any' })
const families = {
  openai: (model) => openai.chat(model),
  responses: (model) => openai.responses(model),
  compatible: (model) => compatible(model),
  anthropic: (model) => anthropic(model),
  openrouter: (model) => openrouter(model),
}
const prompt = 'one two three'
const limits = { maxRetries: 0, maxOutputTokens: 50 }
const place = z.object({ city: z.string(), rain: z.boolean() })

async function chat(family) {
  const answer = await generateText({ model: family('fake'), prompt, ...limits })
  assert.equal(answer.text, prompt)
  assert.equal(answer.finishReason, 'stop')
  assert.equal(answer.usage.outputTokens, 3)
}

async function stream(family) {
  const answer = streamText({ model: family('fake'), prompt, ...limits })
  const pieces = []
  for await (const piece of answer.textStream) pieces.push(piece)
  assert.equal(pieces.join(''), prompt)
  assert.equal((await answer.usage).outputTokens, 3)
}

async function toolCall(family) {
  const seen = []
  const look = tool({
    inputSchema: z.object({ at: z.string() }),
    execute: async ({ at }) => {
      seen.push(at)
      return 'blue'
    },
  })
  const asked = { prompt, tools: { look }, stopWhen: stepCountIs(2), ...limits }
  await generateText({ model: family('caller'), ...asked })
  const answer = streamText({ model: family('caller'), ...asked })
  await answer.consumeStream()
  assert.deepEqual(seen, ['sky', 'sky', 'sky', 'sky'])
}

async function structuredOutput(family) {
  const output = Output.object({ schema: place })
  const answer = await generateText({ model: family('writer'), prompt, output, ...limits })
  assert.deepEqual(answer.output, { city: 'Paris', rain: true })
}

async function unknownModel(family) {
  await assert.rejects(generateText({ model: family('nobody'), prompt, ...limits }), /nobody/)
}

const failures = {}
for (const deed of [chat, stream, toolCall, structuredOutput, unknownModel]) {
  for (const [name, family] of Object.entries(families)) {
    failures[`${deed.name}_${name}`] = await deed(family).then(
      () => '',
      (error) => String(error.stack ?? error),
    )
  }
}
console.log(JSON.stringify({ failures }))
