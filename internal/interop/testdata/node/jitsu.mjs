// Drives @jitsu/js in its server mode, which has no screen and no alias and takes
// no messageId of the caller's. The name of a page is one of its properties.
import { jitsuAnalytics } from '@jitsu/js'
import { job, printReport, report, settled } from './calls.mjs'

const analytics = jitsuAnalytics({ host: job.url, writeKey: job.writeKey, s2s: true })
for (const call of job.calls) {
  const { type, name, content, userId, anonymousId, groupId } = call
  const options = { userId, anonymousId }
  try {
    if (type === 'identify') await analytics.identify(userId, content, options)
    else if (type === 'group') await analytics.group(groupId, content, options)
    else if (type === 'page') await analytics.page(content, options)
    else await analytics.track(name, content, options)
    settled(call)
  } catch (err) {
    settled(call, err)
  }
}
printReport()
