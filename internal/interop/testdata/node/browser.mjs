// Opens a page in headless Chromium: reads {chromium, url, leave, comeBack, events} from
// standard input, waits until the page has set window.result, goes to the page
// leave if there is one and comes back if asked to, waits until the server has answered 200 for that many
// events, and writes what the page and the network saw.
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { chromium } from 'playwright-core'

const job = JSON.parse(await text(process.stdin))
const browser = await chromium.launch({
  executablePath: job.chromium,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
})
const report = { userAgent: browser.version(), requests: [], console: [], delivered: 0, error: '' }
try {
  const page = await browser.newPage()
  page.on('console', (message) => report.console.push(message.text()))
  page.on('pageerror', (err) => report.console.push(String(err)))
  page.on('response', record)
  page.on('requestfailed', (request) => {
    report.requests.push({ method: request.method(), url: request.url(), failure: request.failure()?.errorText })
  })
  await page.goto(job.url)
  await page.waitForFunction(() => window.result !== undefined, null, { timeout: 30_000 })
  report.result = await page.evaluate(() => window.result)
  if (job.leave) {
    await page.goto(job.leave)
    await sleep(2_000) // what a page sends while it is left is no event of the next
    if (job.comeBack) await page.goto(job.url)
  }
  for (let waited = 0; report.delivered < job.events && waited < 20_000; waited += 50) await sleep(50)
} catch (err) {
  report.error = String(err)
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))

function record(response) {
  const request = response.request()
  const status = response.status()
  report.requests.push({ method: request.method(), url: request.url(), status })
  if (request.method() === 'POST' && status === 200) report.delivered += eventsIn(request.postData())
}

// eventsIn counts the events of a request. What a beacon holds, Chromium does not
// tell: it counts for one.
function eventsIn(body) {
  const json = JSON.parse(body) ?? {}
  return json.series ? 0 : (json.batch?.length ?? 1)
}
