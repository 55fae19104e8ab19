// Uses the inspector in headless Chromium: reads {chromium, url, api, restart, key, shots} from
// standard input, opens the page at url twice, sends events to api, and writes what the pages
// showed. A POST to restart replaces the server behind url. Pictures go to the folder shots, if
// there is one.
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
const report = { console: [], error: '', checks: {} }
const patience = { timeout: 60_000 }

const hostile = {
  script: '</script><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>',
  direction: '\u202Egnp.exe',
  nul: 'a\u0000b',
  long: 'L'.repeat(20_000),
  proto: '__proto__',
}

async function send(type, event) {
  const response = await fetch(job.api + '/v1/' + type, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Basic ' + btoa(job.key + ':') },
    body: JSON.stringify(event),
  })
  await response.text()
  return response.status
}

function track(name, more) { return send('track', { event: name, userId: 'u1', ...more }) }

// names returns the names in the rows of a page, the newest first.
function names(page) { return page.$$eval('#rows tr.row', (rows) => rows.map((row) => row.cells[4].textContent)) }

function shows(page, name) {
  return page.waitForFunction((want) => [...document.querySelectorAll('#rows tr.row')].some((row) => row.cells[4].textContent === want), name, patience)
}

function connected(page) { return page.waitForFunction(() => document.getElementById('status').textContent.startsWith('connected, '), null, patience) }

async function open(context) {
  const page = await context.newPage()
  page.on('console', (message) => report.console.push(message.text()))
  page.on('pageerror', (err) => report.console.push(String(err)))
  await page.goto(job.url)
  await connected(page)
  return page
}

try {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 } })
  const page = await open(context)
  const other = await open(context)
  const checks = report.checks

  // An event is shown to both, and what it has is text.
  const began = Date.now()
  await track('Order Completed', { properties: { total: 27.5, email: 'jane@shop.example', note: hostile.script } })
  await shows(page, 'Order Completed')
  checks.shownAfter = Date.now() - began
  await shows(other, 'Order Completed')
  for (const name of Object.values(hostile)) await track(name)
  await shows(page, hostile.script)
  await shows(page, hostile.direction)
  await track('After')
  await shows(page, 'After')
  checks.hacked = await page.evaluate(() => window.hacked ?? 0)
  checks.images = await page.evaluate(() => document.images.length)

  // A row opens to the event, by the keyboard too.
  await page.evaluate(() => [...document.querySelectorAll('#rows tr.row')].find((row) => row.cells[4].textContent === 'Order Completed').focus())
  await page.keyboard.press('Enter')
  await page.waitForSelector('.detail pre', patience)
  checks.detail = await page.textContent('.detail pre')
  checks.facts = await page.textContent('.detail dl')
  checks.buttons = await page.$$eval('.detail button', (list) => list.map((b) => b.textContent))
  await page.keyboard.press('Enter')
  checks.closed = (await page.$$('.detail')).length

  // What was refused says why.
  await send('track', { event: 'No User' })
  await page.waitForSelector('td.refused', patience)
  checks.refused = await page.$eval('td.refused', (td) => td.parentElement.cells[6].textContent)

  // Pause holds rows back.
  await page.click('#pause')
  await track('While Paused')
  await page.waitForFunction(() => document.getElementById('pause').textContent === 'Continue (1)', null, patience)
  checks.whilePaused = (await names(page)).includes('While Paused')
  await page.click('#pause')
  await shows(page, 'While Paused')

  // A filter shows what fits of what is kept, and of what comes.
  await page.fill('input[name=name]', 'Order Completed')
  await page.waitForFunction(() => { const rows = document.querySelectorAll('#rows tr.row'); return rows.length === 1 && rows[0].cells[4].textContent === 'Order Completed' }, null, patience)
  await track('Something Else')
  await track('Order Completed')
  await page.waitForFunction(() => document.querySelectorAll('#rows tr.row').length === 2, null, patience)
  checks.filtered = await names(page)
  await page.fill('input[name=name]', '')
  await shows(page, 'Something Else')

  // The other viewer has seen everything, and goes on after the server was replaced.
  await shows(other, 'Something Else')
  await fetch(job.restart, { method: 'POST' })
  await other.waitForFunction(() => document.getElementById('status').textContent.startsWith('disconnected'), null, patience)
  await connected(other)
  await track('After The Restart')
  await shows(other, 'After The Restart')

  // The sources are counted.
  checks.source = await other.waitForFunction(() => { const row = document.querySelector('#sources tbody tr'); return row && row.cells[0].textContent }, null, patience).then((h) => h.jsonValue())
  checks.controls = await other.$$eval('#destinations button', (list) => list.map((b) => b.textContent))

  if (job.shots) {
    for (const [type, event] of job.sample) await send(type, event)
    const last = job.sample.at(-1)[1].event
    for (const scheme of ['light', 'dark']) {
      const shot = await (await browser.newContext({ viewport: { width: 1200, height: 640 }, colorScheme: scheme })).newPage()
      await shot.goto(job.url)
      await shows(shot, last)
      await shot.waitForSelector('#sources tbody tr', patience)
      await shot.evaluate((want) => [...document.querySelectorAll('#rows tr.row')].find((row) => row.cells[4].textContent === want).click(), job.open)
      await shot.waitForSelector('.detail pre', patience)
      await shot.screenshot({ path: job.shots + '/inspector-' + scheme + '.png' })
    }
  }
} catch (err) {
  report.error = String(err)
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))
