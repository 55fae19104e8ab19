// Starts analytics.js with only a write key and the address of the API, which tells it where to send
// events, and makes a call for each button.
const { writeKey, api } = await (await fetch('/config.json')).json()

const batches = { strategy: 'batching', config: { size: 10, timeout: 30_000 } }
const options = location.search === '?batch'
  ? { integrations: { 'Segment.io': { deliveryStrategy: batches } } }
  : {}
const analytics = AnalyticsNext.AnalyticsBrowser.load({ writeKey, cdnURL: api }, options)

const calls = {
  identify: () => analytics.identify('user-1', { plan: 'pro' }),
  group: () => analytics.group('team-1', { seats: 5 }),
  page: () => analytics.page('Docs', 'Start'),
  screen: () => analytics.screen('Docs', 'Start'),
  track: () => analytics.track('Order Completed', { total: 12.5 }),
  alias: () => analytics.alias('user-2', 'user-1'),
}

for (const [name, call] of Object.entries(calls)) {
  const button = document.createElement('button')
  button.id = button.textContent = name
  button.onclick = async () => log(name, await call())
  document.querySelector('#calls').append(button)
}

// log shows the result of a call. A call in a batch is shown when it is queued.
function log(name, context) {
  const line = document.createElement('li')
  const failure = context.failedDelivery()
  line.className = failure ? 'failed' : 'accepted'
  line.textContent = failure ? `${name}: ${failure.reason}` : `${name}: ${context.event.messageId}`
  document.querySelector('#log').append(line)
}
document.body.dataset.ready = 'true'
