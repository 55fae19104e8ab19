package wire

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var composeLimits = Limits{Depth: 20, Members: 100, Bytes: 1000, Items: 10}

// requireSame checks that two documents have the same content, except for lengths, which
// a composed document has from its source.
func requireSame(t testing.TB, want, got *Document) {
	t.Helper()
	requireSameObject(t, want.Root(), got.Root())
	wantItems, wantListed := want.Items()
	gotItems, gotListed := got.Items()
	require.Equal(t, wantListed, gotListed)
	require.Equal(t, wantItems.Len(), gotItems.Len())
	require.Equal(t, want.Limits(), got.Limits())
	for i := range wantItems.Len() {
		require.Equal(t, wantItems.At(i).Fault, gotItems.At(i).Fault)
		requireSameObject(t, wantItems.At(i).Object, gotItems.At(i).Object)
	}
}

func requireSameObject(t testing.TB, want, got Object) {
	t.Helper()
	require.Equal(t, want.Len(), got.Len())
	for i := range want.Len() {
		require.Equal(t, string(want.Name(i)), string(got.Name(i)))
		require.Equal(t, string(want.Value(i)), string(got.Value(i)))
	}
}

var watched = NewWatch(`"k"`, `"user"`, `"x"`, `"0"`, `"a long name that is watched"`)

// readBoth returns the document of a body and that of the outline of it.
func readBoth(t testing.TB, body string) (d *Document, o *Outline) {
	t.Helper()
	d, o = new(Document), &Outline{Watch: watched}
	require.NoError(t, o.Read(d, []byte(body), `"batch"`, composeLimits))
	var plain Document
	require.NoError(t, plain.Read([]byte(body), `"batch"`, composeLimits))
	requireSame(t, &plain, d)
	require.Equal(t, plain.AsItem().Size, d.AsItem().Size)
	for i := range plain.items {
		require.Equal(t, Items{&plain}.At(i).Size, Items{d}.At(i).Size)
	}
	return d, o
}

const composed = `{"a":1, "b\u0061tch":[ {"x":{"user":{"k":1},"l":[2]},"\u0079":"z"} , {}, 5,{"c":2,"c":3} ,{"n\"":{}, "m" : 3 } ] , "z\/":{"q":null} }`

func TestComposer(t *testing.T) {
	t.Parallel()
	t.Run("list", func(t *testing.T) {
		t.Parallel()
		from, _ := readBoth(t, composed)
		for changed := range 6 {
			var c Composer
			var into, want Document
			c.BeginList([]byte("before"), from, &into)
			for i := range 5 {
				if i != changed || i == 2 || i == 3 {
					require.True(t, c.Keep())
					continue
				}
				require.True(t, c.Open(9, 200))
				c.Member([]byte(`"new"`), []byte(`[1]`))
				c.Copy(Items{from}.At(i).Object, 0, Items{from}.At(i).Len())
				c.Name([]byte(`"made"`))
				c.Text = append(c.Text, `"here"`...)
				c.EndValue()
				c.Close()
			}
			out, err := c.End()
			require.NoError(t, err)
			require.Equal(t, "before", string(out[:6]))
			require.NoError(t, want.Read(out[6:], `"batch"`, composeLimits))
			requireSame(t, &want, &into)
			for i := range from.items {
				require.Equal(t, Items{from}.At(i).Size, Items{&into}.At(i).Size, "the length is the one received")
			}
			if changed > 4 {
				require.Equal(t, composed, string(out[6:]))
			}
		}
	})
	t.Run("root", func(t *testing.T) {
		t.Parallel()
		t.Run("spans", func(t *testing.T) {
			t.Parallel()
			from, o := readBoth(t, `{"k":{"a":1 , "\u0062":[2]}, "\"\u0063\\":3}`)
			var c Composer
			var into, want Document
			c.Begin(nil, from, &into)
			require.True(t, c.Open(9, 200))
			c.Copy(o.Inner(from.Root(), 0).Object, 0, 2)
			c.Copy(from.Root(), 1, 2)
			c.Close()
			out, err := c.End()
			require.NoError(t, err)
			require.Equal(t, `{"a":1 , "\u0062":[2],"\"\u0063\\":3}`, string(out))
			require.NoError(t, want.Read(out, `"batch"`, composeLimits))
			requireSame(t, &want, &into)
			require.Equal(t, from.AsItem().Size, into.AsItem().Size)
		})
		t.Run("new list must be read", func(t *testing.T) {
			t.Parallel()
			for _, body := range []string{`{"p":{"batch":[1]}}`, `{"p":{"\u0062atch":[1]}}`} {
				from, o := readBoth(t, body)
				var c Composer
				var into Document
				c.Begin(nil, from, &into)
				require.True(t, c.Open(9, 200))
				c.Copy(o.Inner(from.Root(), 0).Object, 0, 1)
				c.Close()
				_, err := c.End()
				require.NoError(t, err)
				require.Zero(t, into.Limits())
			}
		})
	})
}

func TestOutline(t *testing.T) {
	t.Parallel()
	t.Run("inner objects, kept and searched", func(t *testing.T) {
		t.Parallel()
		from, noted := readBoth(t, composed)
		var searched Outline
		searched.Use(from)
		for _, o := range []*Outline{noted, &searched} {
			for i := range from.items {
				o.Event(Items{from}.At(i).Object)
				if i == 0 {
					x := o.Inner(Items{from}.At(0).Object, 0)
					require.Equal(t, 2, x.Len())
					require.Equal(t, `[2]`, string(x.Get(`"l"`)))
					require.Equal(t, `1`, string(o.Inner(x.Object, 0).Get(`"k"`)))
				}
			}
			require.Zero(t, o.Inner(Items{from}.At(4).Object, 0).Len())
		}
	})
	t.Run("errors as without an outline", func(t *testing.T) {
		t.Parallel()
		for _, body := range []string{
			``, `[]`, `{"a":{"b":}}`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `{"a":1} x`, `{"batch":[{"a":]}`,
			`{"batch":[1,2,3,4,5,6,7,8,9,10,11]}`, "{\"a\":{\"b\":\"\xff\"}}", `{"a":{"b":"\ud800"}}`, `{"a":{"user":{"b"`,
		} {
			var d, want Document
			o := Outline{Watch: watched}
			wantErr := want.Read([]byte(body), `"batch"`, composeLimits)
			require.Equal(t, wantErr, o.Read(&d, []byte(body), `"batch"`, composeLimits), "%q", body)
			requireSame(t, &want, &d)
			require.Equal(t, want.Repaired(), d.Repaired())
		}
	})
}

func TestWatch(t *testing.T) {
	t.Parallel()
	_, o := readBoth(t, `{"p":{"k":1,"\u0078":2,"a long name that is watched":3,"y":4},"q":{"user":5,"r":{"k":1}}}`)
	p, q := o.Inner(o.doc.Root(), 0), o.Inner(o.doc.Root(), 1)
	for _, name := range watched.names {
		require.Equal(t, name == `"k"` || name == `"x"` || len(name) > 10, p.Has(watched.Mark(name)), name)
		require.Equal(t, name == `"user"`, q.Has(watched.Mark(name)), name)
	}
	require.Equal(t, -1, q.User(), "the user is not an object")
}

func FuzzOutline(f *testing.F) {
	f.Add(composed)
	f.Add(`{"a":{"user":{"b":1}}}`)
	f.Add(`{"a":{"a long name that is watched":{"\u006b":1},"x":2,"0":3}}`)
	f.Fuzz(func(t *testing.T, body string) {
		var d, want Document
		o := Outline{Watch: watched}
		wantErr := want.Read([]byte(body), `"batch"`, composeLimits)
		require.Equal(t, wantErr, o.Read(&d, []byte(body), `"batch"`, composeLimits))
		requireSame(t, &want, &d)
		require.Equal(t, want.AsItem(), d.AsItem())
		for _, in := range o.objects {
			object := o.object(o.spans[in.level][in.first:in.last])
			for i := range object.Len() {
				name := string(object.Name(i))
				if slices.Contains(watched.names, name) && wantErr == nil && !hasFaults(&d) {
					require.NotZero(t, in.names&watched.Mark(name), "%q", name)
				}
			}
		}
	})
}

func hasFaults(d *Document) bool { return d.AsItem().Fault.Kind != None }
