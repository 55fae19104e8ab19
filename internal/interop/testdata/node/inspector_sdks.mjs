// Opens the inspector in headless Chromium: reads {chromium, url, names, shot} from standard
// input, waits until the page shows an event with each of the names, opens each, and writes what
// it shows of them. A picture of the page goes to the file shot, if it is set.
import { text } from 'node:stream/consumers'
import { chromium } from 'playwright-core'

const job = JSON.parse(await text(process.stdin))
const browser = await chromium.launch({
  executablePath: job.chromium,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
})
const patience = { timeout: 60_000 }
const report = { console: [], error: '', rows: {} }

try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 640 } })
  page.on('console', (message) => report.console.push(message.text()))
  page.on('pageerror', (err) => report.console.push(String(err)))
  await page.goto(job.url)
  for (const name of job.names) {
    const row = page.locator('#rows tr.row', { has: page.getByRole('cell', { name, exact: true }) }).first()
    await row.waitFor(patience)
    const cells = await row.locator('td').allTextContents()
    await row.click()
    await page.waitForSelector('.detail pre', patience)
    report.rows[name] = {
      outcome: cells[1], source: cells[2], type: cells[3],
      facts: await page.textContent('.detail dl'), event: await page.textContent('.detail pre'),
    }
    await row.click()
    await page.waitForSelector('.detail', { ...patience, state: 'detached' })
  }
  if (job.shot) await page.screenshot({ path: job.shot })
} catch (err) {
  report.error = String(err)
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))
