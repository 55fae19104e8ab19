// Drives @rudderstack/rudder-sdk-node.
import Analytics from '@rudderstack/rudder-sdk-node'
import { job, params, printReport, settled, untilSettled } from './calls.mjs'

const analytics = new Analytics(job.writeKey, { dataPlaneUrl: job.url, flushAt: job.flushAt })
for (const call of job.calls) {
  analytics[call.type](params(call), (err) => settled(call, err))
}
await untilSettled(() => analytics.flush())
printReport()
process.exit(0)
