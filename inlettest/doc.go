// Package inlettest is a fake Segment for tests: a server with the whole ingestion API that
// keeps the events it receives, and questions about them that fail the test in words.
//
//	func TestCheckout(t *testing.T) {
//		srv := inlettest.New(t, nil)
//		shop := newShop(analytics.NewWithConfig(srv.Key(), analytics.Config{Endpoint: srv.URL()}))
//		shop.Checkout("user-1", 49.90)
//		srv.RequireTracked(t, "Order Completed", inlettest.Props{"total": 49.9})
//	}
//
// A failure prints what was received, with the nearest event first and what is different about
// it, and the requests that were refused, with the reason.
//
// # What is under test
//
// Code that sends by HTTP, with an SDK or without, gets [Server.URL] and [Server.Key]. What a
// Segment SDK is configured with is in [Server.Segment]. Any process that the test starts can
// send there, in any language.
//
// Code that sends by an [net/http.Client] which the test may choose gets [Server.Client]: there
// is no listener then, so that such a test can run in a bubble of package
// [testing/synctest], where the hours that a retry waits pass at once.
//
// A host that mounts Inlet itself gives [Server.Sink] to [inlet.New] in place of its own sink:
// the test then sends requests to the host, through its own layers, validators and enrichers.
//
// # Files
//
// The server is in server.go, what it keeps in recorder.go, the questions in require.go, how an
// event is compared with what a test wants in want.go, and the text of failures in report.go.
package inlettest
