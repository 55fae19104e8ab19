// Makes the calls of /config.json with @segment/analytics-next and sets
// window.result to what became of each; in a hurry, before that is known.
const { settings, options, calls, hurry } = await (await fetch('/config.json')).json()
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

async function settle(c) {
  const failure = (await call(c)).failedDelivery()
  if (failure) result.failed.push({ messageId: c.messageId, reason: String(failure.reason) })
}

if (hurry) {
  calls.forEach(settle)
  await new Promise((resolve) => setTimeout(resolve, 500))
} else {
  for (const c of calls) await settle(c)
}
window.result = result
