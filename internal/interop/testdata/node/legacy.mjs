// Drives analytics-node, Segment's SDK before @segment/analytics-node.
import Analytics from 'analytics-node'
import { job, params, printReport, settled, untilSettled } from './calls.mjs'

const analytics = new Analytics(job.writeKey, { host: job.url, flushAt: job.flushAt })
for (const call of job.calls) {
  analytics[call.type](params(call), (err) => settled(call, err))
}
await untilSettled(() => analytics.flush())
printReport()
