package postgressink

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/tables"
)

// Reads events back from typed tables, without the code that wrote them: by the fixed columns, and
// for the rest by the rows of _inlet_columns alone.

// A flat is the values of an event: what is at each path, with dots between the names. Nulls and
// empty objects have no value.
type flat map[string]string

// flatten adds a value to f, below a path.
func (f flat) flatten(path string, value any) error {
	switch v := value.(type) {
	case nil:
		return nil
	case map[string]any:
		for name, member := range v {
			below := pathEscaper.Replace(name)
			if path != "" {
				below = path + "." + below
			}
			if err := f.flatten(below, member); err != nil {
				return err
			}
		}
		return nil
	}
	text, err := json.Marshal(numbers(value))
	if old, found := f[path]; found && old != string(text) {
		return fmt.Errorf("%s is both %s and %s", path, old, text)
	}
	f[path] = string(text)
	return err
}

var pathEscaper = strings.NewReplacer(`\`, `\\`, `.`, `\.`)

// flatOf returns the values of an event that was written.
func flatOf(e *inlet.Event) (flat, error) {
	value, err := decode(e.AppendJSON(nil))
	if err != nil {
		return nil, err
	}
	members := value.(map[string]any)
	for _, own := range []string{"type", "messageId", "userId", "anonymousId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "sourceId", "dialect"} {
		delete(members, own)
	}
	switch e.Type {
	case inlet.TypeTrack:
		delete(members, "event")
	case inlet.TypePage, inlet.TypeScreen:
		delete(members, "name")
		if p, ok := members["properties"].(map[string]any); ok && p["name"] == e.Name {
			delete(p, "name") // is in the column of the name
		}
	case inlet.TypeGroup:
		delete(members, "groupId")
	case inlet.TypeAlias:
		delete(members, "previousId")
	}
	f := flat{}
	return f, f.flatten("", members)
}

func decode(text []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&value)
	return value, err
}

// A storedRow is a row of a typed table.
type storedRow struct {
	event *inlet.Event
	flat  flat
}

// readTables returns the events in the tables of a schema, with all of their values as Properties,
// by path. The events of a type are in the order in which they were stored. It fails for a value
// that is at two places with different values, or at none.
func readTables(ctx context.Context, conn *pgx.Conn, schema string) (events []*inlet.Event, err error) {
	columns, err := registered(ctx, conn, schema)
	if err != nil {
		return nil, err
	}
	own := map[string]map[string]storedRow{} // rows of the tables of events, by table and key
	for table := range columns {
		if slices.Contains(tables.Always(), table) {
			continue
		}
		rows, err := readTable(ctx, conn, schema, table, columns[table])
		if err != nil {
			return nil, err
		}
		own[table] = map[string]storedRow{}
		for _, r := range rows {
			own[table][r.event.Source.ID+" "+r.event.MessageID] = r
		}
	}
	for table, typ := range map[string]inlet.Type{
		"tracks": inlet.TypeTrack, "identifies": inlet.TypeIdentify, "pages": inlet.TypePage,
		"screens": inlet.TypeScreen, "groups": inlet.TypeGroup, "aliases": inlet.TypeAlias,
	} {
		rows, err := readTable(ctx, conn, schema, table, columns[table])
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			e := r.event
			e.Type = typ
			if more, found := own[e.Dialect][e.Source.ID+" "+e.MessageID]; found { // readTable notes the table there
				delete(own[e.Dialect], e.Source.ID+" "+e.MessageID)
				if err := r.flat.merge(more.flat); err != nil {
					return nil, err
				}
			}
			if e.Properties, err = json.Marshal(r.flat); err != nil {
				return nil, err
			}
			events = append(events, e)
		}
	}
	for table, rows := range own {
		if len(rows) > 0 {
			return nil, fmt.Errorf("table %s has %d rows that tracks does not have", table, len(rows))
		}
	}
	return events, nil
}

// merge adds the values of another row of the same event.
func (f flat) merge(more flat) error {
	for path, value := range more {
		if old, found := f[path]; found && old != value {
			return fmt.Errorf("%s is both %s and %s", path, old, value)
		}
		f[path] = value
	}
	return nil
}

// registered returns the columns of each table, and their paths.
func registered(ctx context.Context, conn *pgx.Conn, schema string) (map[string]map[string]string, error) {
	rows, err := conn.Query(ctx, fmt.Sprintf(`SELECT table_name, column_name, path FROM "%s"._inlet_columns`, schema))
	if err != nil {
		return nil, err
	}
	columns := map[string]map[string]string{}
	var table, column, path string
	_, err = pgx.ForEachRow(rows, []any{&table, &column, &path}, func() error {
		if columns[table] == nil {
			columns[table] = map[string]string{}
		}
		if path != "" {
			columns[table][column] = path
		}
		return nil
	})
	return columns, err
}

// readTable returns the rows of a table, in order.
func readTable(ctx context.Context, conn *pgx.Conn, schema, table string, paths map[string]string) (stored []storedRow, err error) {
	rows, err := conn.Query(ctx, fmt.Sprintf(`SELECT to_json(q)::text FROM "%s"."%s" q ORDER BY _seq`, schema, table))
	if err != nil {
		return nil, err
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	for _, text := range texts {
		value, err := decode([]byte(text))
		if err != nil {
			return nil, err
		}
		r := storedRow{event: new(inlet.Event), flat: flat{}}
		if err := r.read(value.(map[string]any), paths); err != nil {
			return nil, fmt.Errorf("%s: %w in %s", table, err, text)
		}
		stored = append(stored, r)
	}
	return stored, nil
}

func (r *storedRow) read(row map[string]any, paths map[string]string) error {
	for name, value := range row {
		if value == nil {
			continue
		}
		if path, found := paths[name]; found {
			if err := r.flat.flatten(path, value); err != nil {
				return err
			}
			continue
		}
		if err := r.field(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (r *storedRow) field(name string, value any) (err error) {
	text, _ := value.(string)
	e := r.event
	switch name {
	case "_source_id":
		e.Source = &inlet.Source{ID: text}
	case "id":
		e.MessageID = text
	case "user_id":
		e.UserID = text
	case "anonymous_id":
		e.AnonymousID = text
	case "group_id":
		e.GroupID = text
	case "previous_id":
		e.PreviousID = text
	case "name", "event_text":
		e.Name = text
	case "event":
		e.Dialect = text
	case "received_at":
		e.ReceivedAt, err = time.Parse(time.RFC3339Nano, text)
	case "sent_at":
		e.SentAt, err = time.Parse(time.RFC3339Nano, text)
	case "timestamp":
		e.Timestamp, err = time.Parse(time.RFC3339Nano, text)
	case "original_timestamp":
		e.OriginalTimestamp, err = time.Parse(time.RFC3339Nano, text)
	case "_extra":
		for path, left := range value.(map[string]any) {
			if err := r.flat.flatten(path, left); err != nil {
				return err
			}
		}
	case "uuid_ts", "_seq":
	default:
		err = fmt.Errorf("column %s is not in _inlet_columns", name)
	}
	return err
}

// sameInTables compares an event that was written with one of readTables.
func sameInTables(written, stored *inlet.Event) bool {
	w := *written
	for _, at := range []*time.Time{&w.Timestamp, &w.OriginalTimestamp, &w.SentAt, &w.ReceivedAt} {
		*at = at.Truncate(time.Microsecond)
	}
	want, err := flatOf(written)
	if err != nil {
		return false
	}
	var got flat
	if json.Unmarshal(stored.Properties, &got) != nil || !maps.Equal(want, got) {
		return false
	}
	return w.Type == stored.Type && w.Name == stored.Name && w.MessageID == stored.MessageID && w.UserID == stored.UserID &&
		w.AnonymousID == stored.AnonymousID && w.GroupID == stored.GroupID && w.PreviousID == stored.PreviousID &&
		w.Timestamp.Equal(stored.Timestamp) && w.OriginalTimestamp.Equal(stored.OriginalTimestamp) &&
		w.SentAt.Equal(stored.SentAt) && w.ReceivedAt.Equal(stored.ReceivedAt) && w.Source.ID == stored.Source.ID
}
