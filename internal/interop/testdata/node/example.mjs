// Opens the page of examples/browser in headless Chromium: reads {chromium, url,
// leave} from standard input, waits until the page is ready, presses every button
// and waits for its line in the log, goes to the page leave, and writes the lines,
// the hosts and paths that were asked for, and the POSTs that were made until then.
// Those of a page that is being left Chromium does not tell.
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
const report = { hosts: [], paths: [], lines: [], failed: 0, posts: [], error: '' }
try {
  const page = await browser.newPage()
  page.on('request', (request) => {
    const { host, pathname } = new URL(request.url())
    if (!report.hosts.includes(host)) report.hosts.push(host)
    report.paths.push(pathname)
    if (request.method() === 'POST') report.posts.push(pathname)
  })
  await page.goto(job.url)
  await page.waitForSelector('body[data-ready]', { timeout: 30_000 })
  for (const button of await page.locator('button').all()) {
    const lines = await page.locator('#log li').count()
    await button.click()
    await page.locator('#log li').nth(lines).waitFor({ timeout: 10_000 })
  }
  report.lines = await page.locator('#log li').allTextContents()
  report.failed = await page.locator('#log li.failed').count()
  await page.goto(job.leave)
  await sleep(1_000)
} catch (err) {
  report.error = String(err)
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))
