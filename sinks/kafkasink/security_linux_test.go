package kafkasink

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/inlet-go/inlet"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(nil) // for its certificate
	defer server.Close()
	c := cluster(t, kfake.TLS(&tls.Config{Certificates: server.TLS.Certificates}))
	known := x509.NewCertPool()
	known.AddCert(server.Certificate())
	trusting := kgo.DialTLSConfig(&tls.Config{RootCAs: known})
	sink := open(t, c, Options{Client: []kgo.Opt{trusting}})
	require.NoError(t, sink.Write(t.Context(), events("m", 3)))
	require.EqualValues(t, 3, sink.Stats().Stored)

	_, err := New(t.Context(), addresses(c), &Options{Client: []kgo.Opt{kgo.DialTLS()}})
	require.ErrorContains(t, err, "certificate")
	_, err = New(t.Context(), addresses(c), nil)
	require.Error(t, err, "without TLS")
}

func TestSASL(t *testing.T) {
	t.Parallel()
	c := cluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "inlet", "hunter2"),
		kfake.Superuser("SCRAM-SHA-256", "inlet", "hunter2"), kfake.Superuser("SCRAM-SHA-512", "inlet", "hunter2"))
	for _, mechanisms := range [][2]sasl.Mechanism{
		{plain.Auth{User: "inlet", Pass: "hunter2"}.AsMechanism(), plain.Auth{User: "inlet", Pass: "hunter3"}.AsMechanism()},
		{scram.Auth{User: "inlet", Pass: "hunter2"}.AsSha256Mechanism(), scram.Auth{User: "inlet", Pass: "hunter3"}.AsSha256Mechanism()},
		{scram.Auth{User: "inlet", Pass: "hunter2"}.AsSha512Mechanism(), scram.Auth{User: "inlet", Pass: "hunter3"}.AsSha512Mechanism()},
	} {
		sink := open(t, c, Options{Client: []kgo.Opt{kgo.SASL(mechanisms[0])}})
		require.NoError(t, sink.Write(t.Context(), events("m", 3)))
		_, err := New(t.Context(), addresses(c), &Options{Client: []kgo.Opt{kgo.SASL(mechanisms[1]), kgo.RequestRetries(1)}})
		require.ErrorContains(t, err, "kafkasink: connect: ")
		require.NotContains(t, err.Error(), "hunter")
		require.False(t, inlet.IsPermanent(err))
	}
}

// TestPermissions has users with some permissions only.
func TestPermissions(t *testing.T) {
	t.Parallel()
	may := func(operations ...kmsg.ACLOperation) (acls []kfake.ACL) {
		for _, operation := range operations {
			acls = append(acls, kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: defaultTopic,
				Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation, Allow: true})
		}
		return acls
	}
	write, describe, configs := kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs
	c := cluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "x"),
		kfake.User("PLAIN", "all", "x", may(write, describe, configs)...),
		kfake.User("PLAIN", "writer", "x", may(write, describe)...),
		kfake.User("PLAIN", "reader", "x", may(describe, configs)...),
		kfake.User("PLAIN", "none", "x"))
	as := func(user string, declared inlet.Durability) (*Sink, error) {
		return New(t.Context(), addresses(c), &Options{
			Durability: declared, Logger: slog.New(slog.DiscardHandler),
			Client: []kgo.Opt{kgo.SASL(plain.Auth{User: user, Pass: "x"}.AsMechanism())},
		})
	}
	for _, tt := range []struct {
		user           string
		declared, want inlet.Durability
	}{
		{"all", 0, inlet.DurabilityReplicated},
		{"writer", 0, inlet.DurabilityOSBuffer},
		{"writer", inlet.DurabilityReplicated, inlet.DurabilityReplicated},
	} {
		sink, err := as(tt.user, tt.declared)
		require.NoError(t, err)
		t.Cleanup(func() { closeNow(sink) })
		require.Equal(t, tt.want, sink.Durability())
		require.NoError(t, sink.Check(t.Context()))
		require.NoError(t, sink.Write(t.Context(), events("m", 3)))
	}
	_, err := as("reader", 0)
	require.ErrorContains(t, err, "need IdempotentWrite")
	_, err = as("none", 0)
	require.ErrorIs(t, err, kerr.TopicAuthorizationFailed)
	require.False(t, inlet.IsPermanent(err))
}
