package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/inlet-go/inlet/sinks/journal"
)

// A shop sends events, and counts those that were answered 200.
type shop struct {
	url, key string
	client   http.Client
	stored   int
	last     error
}

// send sends an event. If it is not answered 200, an SDK would retry.
func (s *shop) send(ctx context.Context) {
	body := fmt.Sprintf(`{"event":"Order Completed","userId":"u%d","messageId":"order-%d"}`, s.stored%7, time.Now().UnixNano())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/track", strings.NewReader(body))
	if err == nil {
		r.SetBasicAuth(s.key, "")
		err = s.do(r)
	}
	if s.last = err; err == nil {
		s.stored++
	}
}

func (s *shop) do(r *http.Request) error {
	response, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body) // only the status counts
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %s", response.Status)
	}
	return nil
}

// lines returns the lines of in as they arrive, until ctx is done.
func lines(ctx context.Context, in io.Reader) <-chan string {
	out := make(chan string)
	go func() {
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			select {
			case out <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// watch sends events and reports, until ctx is done.
func watch(ctx context.Context, c config, s *shop, d *deliveries, wh *warehouse, enter <-chan string, out io.Writer) {
	send, report := time.NewTicker(c.every), time.NewTicker(c.report)
	defer send.Stop()
	defer report.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-send.C:
			s.send(context.WithoutCancel(ctx))
		case <-report.C:
			fmt.Fprintf(out, "answered 200: %4d   archive: %s   warehouse: %s\n", s.stored, state(d.archive.Stats()), state(d.warehouse.Stats()))
		case <-enter:
			if message, err := wh.toggle(); err != nil {
				fmt.Fprintln(out, "The warehouse failed:", err)
			} else {
				fmt.Fprintln(out, message)
			}
		}
	}
}

// state describes the progress of a destination.
func state(s journal.DeliveryStats) string {
	if s.Err == nil {
		return fmt.Sprintf("%d delivered, %d pending", s.Delivered, s.Behind)
	}
	return fmt.Sprintf("%d delivered, %d pending, the oldest for %v (%d attempts failed, next in %v)", s.Delivered, s.Behind,
		s.Age.Round(100*time.Millisecond), s.Failures, max(0, time.Until(s.NextTry)).Round(100*time.Millisecond))
}

// summary prints where the events are that were answered 200.
func (d *deliveries) summary(out io.Writer, s *shop, wh *warehouse) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.archive.Drain(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d events were answered 200. The archive has received all of them.\n", s.stored)
	if wh.running == nil {
		fmt.Fprintf(out, "The warehouse is stopped: %d events remain in the journal for the next run.\n", d.warehouse.Stats().Behind)
		return nil
	}
	if err := d.warehouse.Drain(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "The warehouse has received all of them.")
	return nil
}
