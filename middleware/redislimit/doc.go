// Package redislimit keeps the buckets of rate limits in Redis, so that several servers limit a
// client together.
//
// A [Limiter] is a [middleware.Limiter]:
//
//	shared, err := redislimit.New(ctx, "redis://redis.example:6379", nil)
//	…
//	limit := middleware.RateLimit(&middleware.RateLimitOptions{
//		Rate: 1000, Key: middleware.BySource, Limiter: shared,
//	})
//
// # Leases
//
// A server does not ask Redis about each request. It takes tokens from the bucket in Redis for
// about [Options].Lease in advance, as many as the key used in the time before, and grants requests
// out of these. Tokens that are leased are gone from the bucket: all servers together are granted
// the rate, whatever each of them holds.
//
//   - What all servers let pass in a time t is at most Burst + Rate × t, and what they hold: for
//     each server at most Rate × Lease or one token, whichever is more, and at most Burst.
//   - A key that uses less than a token in the time of a lease is asked for each time, and nothing
//     is held for it.
//   - A key that has used up its bucket is asked for at most every tenth of Lease. So it may be
//     refused that much longer than its bucket is empty.
//   - What a server holds when it stops is lost: at most Rate × Lease.
//
// # Failure
//
// If Redis cannot be reached, a server grants what it holds, then [Limiter.Take] fails and
// [middleware.RateLimitOptions].OnError decides; by default each server limits on its own, until
// Redis is back. If Redis loses its data, the buckets are full again. If its clock goes back, a
// bucket goes on from what it had. Nothing is written to Redis again after a failure, so what a
// request took may be lost if the answer is.
//
// # What to share
//
// A charge of a key that the server does not know costs one exchange with Redis. Limits by client
// address, whose number clients choose, are better kept in each server, with the [middleware.ByIP]
// of a limit of its own in front.
package redislimit
