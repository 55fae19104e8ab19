// Package inspector is a page that shows events as they arrive: those that were accepted, those
// that were refused and why, and what destinations did with them.
//
//	insp, err := inspector.New(&inspector.Options{Authorize: inspector.Loopback})
//	…
//	h, err := inlet.New(insp.Sink(store), nil)
//	…
//	mux.Handle("/v1/", insp.Layer(middleware.Chain(layers...)(h)))
//	mux.Handle("/inspector/", http.StripPrefix("/inspector", insp))
//
// It can be below any prefix. [Options].Authorize decides who sees it, for each request.
//
// # What it costs
//
// While no viewer has been connected for [Linger], an event costs the reading of a number. While
// there are viewers, rows are sampled: [Options].PerName of each event name of each source, and
// [Options].Rows in all, each second, so rare events are shown however many others there are. What
// a viewer filters for is sampled apart from that. Counts of sources are complete.
//
// Bounds: [Options].MaxRows rows of [Options].MaxBytes are kept, for viewers that come back, and
// [Options].MaxViewers watch at the same time. One that does not read is disconnected.
//
// # What it shows
//
// Write keys are not shown where clients send them: they are no part of events, and are replaced in
// paths and in what was sent of a refused event. One that a client puts elsewhere is shown. The
// local part of e-mail addresses and the end of IP addresses are masked, unless [Options].Unmasked
// is set: what else a client sends is shown as it is. Nothing is written to a disk, and every
// answer forbids caches.
package inspector
