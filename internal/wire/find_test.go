package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFindEachFindsMembersInOneWalk(t *testing.T) {
	t.Parallel()
	names := []string{`"name"`, `"user"`, `"a/b"`}
	for _, tt := range []struct {
		name, object string
		want         [3]string
	}{
		{"in any order", `{"user":{"name":"inner"},"name":"outer"}`, [3]string{`"outer"`, `{"name":"inner"}`, ``}},
		{"among others, with white space", "{ \"x\" : [1,2] ,\n\"name\" : null }", [3]string{`null`, ``, ``}},
		{"with names that are written with escapes", `{"n\u0061me":1,"\u0075ser":2,"a\/b":3}`, [3]string{`1`, `2`, `3`}},
		{"not by a part of a name", `{"nam":1,"names":2,"n\u0061mes":3,"":4}`, [3]string{}},
		{"in an empty object", `{}`, [3]string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var values [3][]byte
			FindEach([]byte(tt.object), names, values[:])
			for i, want := range tt.want {
				require.Equal(t, want, string(values[i]), names[i])
			}
		})
	}
}

func TestFindEachAllocatesNothingForPlainNames(t *testing.T) {
	object, names := []byte(`{"category":"Auth","name":"Registered","user":{"userId":"u1"}}`), []string{`"name"`, `"user"`}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		var values [2][]byte
		FindEach(object, names, values[:])
	}))
}
