// Drives @segment/analytics-node: reads {host, path, writeKey, flushAt, calls}
// from standard input, makes the calls, and writes what the SDK reported.
import { text } from 'node:stream/consumers'
import { Analytics } from '@segment/analytics-node'

const { calls, ...settings } = JSON.parse(await text(process.stdin))
const analytics = new Analytics(settings)
const report = { version: analytics.VERSION, delivered: 0, failed: [], errors: [] }
analytics.on('error', (err) => report.errors.push(String(err.reason ?? err.code ?? err)))

for (const { type, name, content, ...params } of calls) {
  const body = {
    identify: { traits: content },
    group: { traits: content },
    track: { event: name, properties: content },
    page: { name, properties: content },
    screen: { name, properties: content },
    alias: {},
  }[type]
  analytics[type]({ ...params, ...body }, (err, ctx) => {
    const failure = err ?? ctx.failedDelivery()
    if (failure) report.failed.push(params.messageId)
    else report.delivered++
  })
}
await analytics.closeAndFlush({ timeout: 30_000 })
console.log(JSON.stringify(report))
