// Drives @segment/analytics-node.
import { Analytics } from '@segment/analytics-node'
import { job, params, printReport, report, settled } from './calls.mjs'

const analytics = new Analytics({ host: job.url, writeKey: job.writeKey, flushAt: job.flushAt })
analytics.on('error', (err) => report.errors.push(String(err.reason ?? err.code ?? err)))
for (const call of job.calls) {
  analytics[call.type](params(call), (err, ctx) => settled(call, err ?? ctx.failedDelivery()?.reason))
}
await analytics.closeAndFlush({ timeout: 30_000 })
printReport()
