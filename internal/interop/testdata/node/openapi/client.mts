// Sends events by a client whose types are generated from the description of the API. It is compiled
// by the test, next to api.d.ts.
import createClient from 'openapi-fetch'
import type { components, paths } from './api.js'

declare const process: { argv: string[] }

const [baseUrl, key] = process.argv.slice(2)
const client = createClient<paths>({ baseUrl, headers: { 'X-Write-Key': key } })

const order: components['schemas']['Track'] = {
  event: 'Order Completed',
  userId: 'user-1',
  messageId: 'm-1',
  timestamp: '2026-03-01T12:00:00.000Z',
  properties: { revenue: 49.9 },
}
const track = await client.POST('/v1/track', { body: order })

const batch = await client.POST('/v1/batch', {
  body: {
    batch: [
      { type: 'identify', userId: 'user-1', messageId: 'm-2', traits: { plan: 'pro' } },
      { type: 'page', anonymousId: 'visitor-1', messageId: 'm-3' },
      { type: 'track', userId: 'user-1', messageId: 'm-4' }, // has no name
    ],
  },
})
const rejected = batch.data?.rejected?.map((r) => `${r.index} ${r.messageId} ${r.code}`)

// @ts-expect-error: a track call has a name
const refused = await client.POST('/v1/track', { body: { userId: 'user-1' } })

const image = await client.GET('/v1/pixel/{type}', {
  params: { path: { type: 'track' }, query: { fields: { event: 'Opened', userId: 'user-1', messageId: 'm-5', writeKey: key! } } },
  parseAs: 'arrayBuffer',
  querySerializer: ({ fields }) => new URLSearchParams(fields).toString(),
})

console.log(JSON.stringify({
  track: track.data?.success,
  rejected,
  refused: refused.error?.code,
  status: refused.response.status,
  image: image.response.headers.get('content-type'),
}))
