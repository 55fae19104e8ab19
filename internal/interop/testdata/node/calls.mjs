// What the drivers of the node SDKs share. A job is read from standard input:
// {url, writeKey, flushAt, calls}; a report is written to standard output.
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'

export const job = JSON.parse(await text(process.stdin))

export const report = { delivered: 0, failed: [], errors: [] }

// params is a call as the SDKs that take one object expect it.
export function params({ type, name, content, timestamp, ...rest }) {
  const body = {
    identify: { traits: content },
    group: { traits: content },
    track: { event: name, properties: content },
    page: { name, properties: content },
    screen: { name, properties: content },
    alias: {},
  }[type]
  return { ...rest, ...body, timestamp: new Date(timestamp) }
}

// settled counts what the SDK says became of a call.
export function settled(call, failure) {
  if (failure) report.failed.push(`${call.messageId}: ${failure}`)
  else report.delivered++
}

// untilSettled flushes until the SDK has said so of every call.
export async function untilSettled(flush) {
  for (let waited = 0; waited < 30_000; waited += 10) {
    if (report.delivered + report.failed.length >= job.calls.length) return
    await flush()
    await sleep(10)
  }
  report.errors.push('the SDK did not say what became of every call')
}

export function printReport() {
  console.log(JSON.stringify(report))
}
