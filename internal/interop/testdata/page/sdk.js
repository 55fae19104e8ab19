// Makes the calls of /config.json with @segment/analytics-next and sets
// window.result to what became of each.
const { settings, options, calls } = await (await fetch('/config.json')).json()
const analytics = AnalyticsNext.AnalyticsBrowser.load(settings, options)
const result = { failed: [] }

function call({ type, name, content, context, userId, previousId, groupId, ...rest }) {
  const options = { ...rest, context }
  switch (type) {
    case 'identify': return analytics.identify(userId, content, options)
    case 'group': return analytics.group(groupId, content, options)
    case 'alias': return analytics.alias(userId, previousId, options)
    case 'track': return analytics.track(name, content, options)
    default: return analytics[type](undefined, name, content, options)
  }
}

for (const c of calls) {
  const ctx = await call(c)
  const failure = ctx.failedDelivery()
  if (failure) result.failed.push({ messageId: c.messageId, reason: String(failure.reason) })
}
window.result = result
