//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
)

// fields are those of the API of Kubernetes that the manifests may have, by kind. A part in braces
// is a choice of names, "[]" a list, and "*" any name.
var fields = map[string][]string{
	"ConfigMap":           {"data.*"},
	"Secret":              {"stringData.*"},
	"PodDisruptionBudget": {"spec.maxUnavailable", "spec.selector.matchLabels.*"},
	"Service": {
		"spec.{clusterIP,publishNotReadyAddresses}", "spec.selector.*", "spec.ports[].{name,port,targetPort}",
	},
	"NetworkPolicy": {
		"spec.podSelector.matchLabels.*", "spec.policyTypes[]",
		"spec.ingress[].from[].podSelector.matchLabels.*", "spec.ingress[].ports[].port",
	},
	"Ingress": {
		"spec.ingressClassName", "spec.tls[].hosts[]", "spec.tls[].secretName", "spec.rules[].host",
		"spec.rules[].http.paths[].{path,pathType}", "spec.rules[].http.paths[].backend.service.name",
		"spec.rules[].http.paths[].backend.service.port.name",
	},
	"StatefulSet": {
		"spec.{serviceName,replicas,podManagementPolicy}", "spec.selector.matchLabels.*", "spec.updateStrategy.type",
		"spec.persistentVolumeClaimRetentionPolicy.{whenDeleted,whenScaled}",
		"spec.template.metadata.labels.*",
		"spec.template.spec.{terminationGracePeriodSeconds,automountServiceAccountToken}",
		"spec.template.spec.securityContext.{runAsNonRoot,runAsUser,runAsGroup,fsGroup,fsGroupChangePolicy}",
		"spec.template.spec.securityContext.seccompProfile.type",
		"spec.template.spec.topologySpreadConstraints[].{maxSkew,topologyKey,whenUnsatisfiable}",
		"spec.template.spec.topologySpreadConstraints[].labelSelector.matchLabels.*",
		"spec.template.spec.containers[].{name,image}", "spec.template.spec.containers[].args[]",
		"spec.template.spec.containers[].env[].{name,value}", "spec.template.spec.containers[].env[].valueFrom.fieldRef.fieldPath",
		"spec.template.spec.containers[].env[].valueFrom.secretKeyRef.{name,key}",
		"spec.template.spec.containers[].envFrom[].configMapRef.name",
		"spec.template.spec.containers[].ports[].{name,containerPort}",
		"spec.template.spec.containers[].{startupProbe,livenessProbe,readinessProbe}.httpGet.{path,port}",
		"spec.template.spec.containers[].{startupProbe,livenessProbe,readinessProbe}.{periodSeconds,timeoutSeconds,failureThreshold}",
		"spec.template.spec.containers[].lifecycle.preStop.exec.command[]",
		"spec.template.spec.containers[].lifecycle.preStop.sleep.seconds",
		"spec.template.spec.containers[].resources.{requests,limits}.{cpu,memory}",
		"spec.template.spec.containers[].securityContext.{allowPrivilegeEscalation,readOnlyRootFilesystem}",
		"spec.template.spec.containers[].securityContext.capabilities.drop[]",
		"spec.template.spec.containers[].volumeMounts[].{name,mountPath,readOnly}",
		"spec.template.spec.volumes[].name", "spec.template.spec.volumes[].configMap.name", "spec.template.spec.volumes[].emptyDir",
		"spec.template.spec.volumes[].secret.{secretName,defaultMode}", "spec.template.spec.volumes[].secret.items[].{key,path}",
		"spec.volumeClaimTemplates[].metadata.name", "spec.volumeClaimTemplates[].spec.accessModes[]",
		"spec.volumeClaimTemplates[].spec.resources.requests.storage",
	},
}

var apiVersions = map[string]string{
	"Secret": "v1", "ConfigMap": "v1", "Service": "v1", "StatefulSet": "apps/v1", "PodDisruptionBudget": "policy/v1",
	"NetworkPolicy": "networking.k8s.io/v1", "Ingress": "networking.k8s.io/v1",
}

// known returns a pattern of the paths of the fields of a kind.
func known(kind string) *regexp.Regexp {
	choices := strings.NewReplacer(".", `\.`, "[]", `\[\]`, "{", "(", "}", ")", ",", "|", "*", `.+`)
	all := choices.Replace(strings.Join(append([]string{"apiVersion", "kind", "metadata.name", "metadata.{labels,annotations}.*"}, fields[kind]...), "\x00"))
	return regexp.MustCompile("^(" + strings.ReplaceAll(all, "\x00", "|") + ")$")
}

// A tree is a manifest, or a part of one.
type tree struct{ value any }

// at follows names, and numbers in lists.
func (m tree) at(names ...any) tree {
	for _, name := range names {
		switch v := m.value.(type) {
		case map[string]any:
			m = tree{v[fmt.Sprint(name)]}
		case []any:
			m = tree{v[name.(int)]}
		default:
			return tree{}
		}
	}
	return m
}

func (m tree) text() string { return fmt.Sprint(m.value) }

func (m tree) number() int {
	n, _ := strconv.Atoi(m.text())
	return n
}

// list returns the parts of a list.
func (m tree) list() (parts []tree) {
	values, _ := m.value.([]any)
	for _, v := range values {
		parts = append(parts, tree{v})
	}
	return parts
}

// leaves calls a function with the path of each value.
func (m tree) leaves(at string, f func(path string)) {
	switch v := m.value.(type) {
	case map[string]any:
		if len(v) == 0 {
			f(at)
		}
		for name, part := range v {
			tree{part}.leaves(strings.TrimPrefix(at+"."+name, "."), f)
		}
	case []any:
		for _, part := range v {
			tree{part}.leaves(at+"[]", f)
		}
	default:
		f(at)
	}
}

// readManifests returns manifests in YAML, by kind and name.
func readManifests(text string) (map[string]tree, error) {
	all := map[string]tree{}
	for document := range strings.SplitSeq(text, "\n---\n") {
		var m tree
		if err := yaml.Unmarshal([]byte(document), &m.value); err != nil {
			return nil, err
		}
		kind := m.at("kind").text()
		if version := m.at("apiVersion").text(); version != apiVersions[kind] {
			return nil, fmt.Errorf("%s in the version %s", kind, version)
		}
		var unknown []string
		m.leaves("", func(path string) {
			if !known(kind).MatchString(path) {
				unknown = append(unknown, path)
			}
		})
		if len(unknown) > 0 {
			return nil, fmt.Errorf("%s has the unknown %v", kind, unknown)
		}
		all[kind+" "+m.at("metadata", "name").text()] = m
	}
	return all, nil
}

const page = "../../docs/KUBERNETES.md"

// flagOf returns the value of an argument of a container.
func flagOf(box tree, name string) string {
	for _, arg := range box.at("args").list() {
		if value, found := strings.CutPrefix(arg.text(), "-"+name+"="); found {
			return value
		}
	}
	return ""
}

func TestKubernetes(t *testing.T) {
	t.Parallel()
	all, err := readManifests(testkit.Block(t, page, "reference", "yaml"))
	require.NoError(t, err)
	require.Len(t, all, 7)
	others, err := readManifests(testkit.Block(t, page, "manifests", "yaml"))
	require.NoError(t, err)
	for _, name := range []string{"Secret inlet", "Service inlet", "Service inlet-replicas", "PodDisruptionBudget inlet", "NetworkPolicy inlet"} {
		require.Contains(t, others, name)
		require.NotContains(t, all, name, "it is the same")
		all[name] = others[name]
	}
	for _, name := range []string{"nats", "inlet"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireMatching(t, all, name)
		})
	}
	t.Run("NATS reads its configuration", func(t *testing.T) {
		set, config := all["StatefulSet nats"], all["ConfigMap nats"]
		box := set.at("spec", "template", "spec", "containers", 0)
		args := box.at("args").list()
		require.Equal(t, path.Join(mountOf(t, box, "config"), "nats.conf"), args[1].text())
		require.Equal(t, []string{"-c"}, []string{args[0].text()})
		require.Equal(t, "POD_NAME", box.at("env", 0, "name").text())
		o := parse(t, config.at("data", "nats.conf").text(), "nats-1")
		require.Equal(t, "nats-1", o.ServerName)
		require.True(t, o.JetStream)
		require.True(t, o.SyncAlways)
		require.Equal(t, mountOf(t, box, "data"), o.StoreDir)
		require.Less(t, o.JetStreamMaxStore, bytesOf(t, set.at("spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage").text()))
		require.Equal(t, mountOf(t, box, "pid"), path.Dir(o.PidFile))
		require.Contains(t, box.at("lifecycle", "preStop", "exec", "command", 1).text(), "ldm="+o.PidFile)
		require.Greater(t, set.at("spec", "template", "spec", "terminationGracePeriodSeconds").number(), int(o.LameDuckDuration/time.Second))
		require.Greater(t, o.LameDuckDuration, o.LameDuckGracePeriod)
		ports := map[string]int{}
		for _, p := range box.at("ports").list() {
			ports[p.at("name").text()] = p.at("containerPort").number()
		}
		require.Equal(t, map[string]int{"client": o.Port, "cluster": o.Cluster.Port, "monitor": o.HTTPPort}, ports)
		require.Equal(t, "nats:"+server.VERSION+"-alpine", box.at("image").text(), "the version of the tests")
		var routes, clients []string
		for i := range set.at("spec", "replicas").number() {
			host := fmt.Sprintf("nats-%d.%s", i, set.at("spec", "serviceName").text())
			routes = append(routes, fmt.Sprintf("nats://%s:%d", host, o.Cluster.Port))
			clients = append(clients, fmt.Sprintf("nats://%s:%d", host, o.Port))
		}
		var found []string
		for _, r := range o.Routes {
			found = append(found, r.String())
		}
		require.Equal(t, routes, found)
		node := all["StatefulSet inlet"].at("spec", "template", "spec", "containers", 0)
		require.Equal(t, strings.Join(clients, ","), flagOf(node, "nats"))
		require.Equal(t, set.at("spec", "replicas").text(), flagOf(node, "replicas"))
		require.Equal(t, "DoNotSchedule", set.at("spec", "template", "spec", "topologySpreadConstraints", 0, "whenUnsatisfiable").text())
	})
	t.Run("times of the node fit", func(t *testing.T) {
		pod := all["StatefulSet inlet"].at("spec", "template", "spec")
		box := pod.at("containers", 0)
		drain, err := time.ParseDuration(flagOf(box, "drain-timeout"))
		require.NoError(t, err)
		lock, err := time.ParseDuration(flagOf(box, "lock-timeout"))
		require.NoError(t, err)
		sleep := box.at("lifecycle", "preStop", "sleep", "seconds").number()
		stop := time.Duration(sleep)*time.Second + drain + 3*stepTimeout
		require.Greater(t, time.Duration(pod.at("terminationGracePeriodSeconds").number())*time.Second, stop)
		require.Greater(t, lock, stop, "the next process waits until this one is killed")
		start := box.at("startupProbe", "periodSeconds").number() * box.at("startupProbe", "failureThreshold").number()
		require.Greater(t, time.Duration(start)*time.Second, lock)
		require.Greater(t, sleep, box.at("readinessProbe", "periodSeconds").number())
	})
	t.Run("the ingress finds the service", func(t *testing.T) {
		in := all["Ingress inlet"].at("spec")
		service := in.at("rules", 0, "http", "paths", 0, "backend", "service")
		require.Equal(t, all["Service "+service.at("name").text()].at("spec", "ports", 0, "name").text(), service.at("port", "name").text())
		require.Equal(t, in.at("rules", 0, "host").text(), in.at("tls", 0, "hosts", 0).text())
	})
	t.Run("the commands name what is there", func(t *testing.T) {
		image := testkit.Block(t, page, "node image", "sh")
		node := all["StatefulSet inlet"].at("spec", "template", "spec")
		require.Contains(t, image, "docker build -t "+node.at("containers", 0, "image").text()+" examples/cluster\n")
		require.Contains(t, image, " -o examples/cluster/cluster ./examples/cluster\n")
		file, err := os.ReadFile("Dockerfile")
		require.NoError(t, err)
		for _, line := range []string{
			"COPY cluster /cluster", `ENTRYPOINT ["/cluster"]`, "VOLUME " + mountOf(t, node.at("containers", 0), "data"),
			"USER " + node.at("securityContext", "runAsUser").text() + ":", "EXPOSE " + node.at("containers", 0, "ports", 0, "containerPort").text(),
		} {
			require.Contains(t, string(file), "\n"+line)
		}
		replace := testkit.Block(t, page, "replace", "sh")
		require.Contains(t, replace, "kubectl delete pvc "+all["StatefulSet nats"].at("spec", "volumeClaimTemplates", 0, "metadata", "name").text()+"-nats-1 ")
		require.Contains(t, replace, "kubectl delete pod nats-1\n")
		require.Contains(t, replace, "kubectl rollout status statefulset nats ")
	})
	t.Run("the container runs", func(t *testing.T) {
		t.Parallel()
		runContainer(t, all["StatefulSet inlet"].at("spec", "template", "spec", "containers", 0), all["Secret inlet"])
	})
	t.Run("a mistake is found", func(t *testing.T) {
		for _, text := range []string{
			"apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {port: 80}",
			"apiVersion: v1\nkind: StatefulSet\nmetadata: {name: x}\nspec: {}",
			"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: x}\nspec: {template: {spec: {containers: [{arguments: [a]}]}}}",
			"apiVersion: v1\nkind: Service\n  metadata: {name: x}",
		} {
			_, err := readManifests(text)
			require.Error(t, err, text)
		}
	})
}

// requireMatching requires that what belongs to a StatefulSet finds it, and that it has no rights.
func requireMatching(t *testing.T, all map[string]tree, name string) {
	t.Helper()
	set := all["StatefulSet "+name].at("spec")
	pod := set.at("template", "spec")
	box, labels := pod.at("containers", 0), set.at("template", "metadata", "labels").value
	require.NotEmpty(t, labels)
	headless := all["Service "+set.at("serviceName").text()].at("spec")
	require.Equal(t, "None", headless.at("clusterIP").text())
	for _, selector := range []any{
		set.at("selector", "matchLabels").value, headless.at("selector").value,
		all["PodDisruptionBudget "+name].at("spec", "selector", "matchLabels").value,
		all["NetworkPolicy "+name].at("spec", "podSelector", "matchLabels").value,
		pod.at("topologySpreadConstraints", 0, "labelSelector", "matchLabels").value,
	} {
		require.Equal(t, labels, selector)
	}
	require.Equal(t, 1, all["PodDisruptionBudget "+name].at("spec", "maxUnavailable").number())
	require.Equal(t, 3, set.at("replicas").number())
	require.Equal(t, "Retain", set.at("persistentVolumeClaimRetentionPolicy", "whenScaled").text())
	var ports []string
	for _, p := range box.at("ports").list() {
		ports = append(ports, p.at("name").text())
	}
	for _, p := range headless.at("ports").list() {
		require.Contains(t, ports, p.at("targetPort").text())
	}
	for _, rule := range all["NetworkPolicy "+name].at("spec", "ingress").list() {
		for _, p := range rule.at("ports").list() {
			require.Contains(t, ports, p.at("port").text())
		}
	}
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		require.Contains(t, ports, box.at(probe, "httpGet", "port").text())
	}
	volumes := []string{set.at("volumeClaimTemplates", 0, "metadata", "name").text()}
	for _, v := range pod.at("volumes").list() {
		volumes = append(volumes, v.at("name").text())
		if config := v.at("configMap", "name"); config.value != nil {
			require.Contains(t, all, "ConfigMap "+config.text())
		}
		if secret := v.at("secret", "secretName"); secret.value != nil {
			require.Contains(t, all, "Secret "+secret.text())
		}
	}
	for _, m := range box.at("volumeMounts").list() {
		require.Contains(t, volumes, m.at("name").text())
	}
	require.Equal(t, box.at("resources", "limits", "memory").text(), box.at("resources", "requests", "memory").text())
	for _, e := range box.at("env").list() {
		if e.at("name").text() == "GOMEMLIMIT" {
			require.GreaterOrEqual(t, bytesOf(t, box.at("resources", "limits", "memory").text())*3/4, bytesOf(t, e.at("value").text()))
		}
	}
	require.Equal(t, "true", pod.at("securityContext", "runAsNonRoot").text())
	require.Equal(t, "false", pod.at("automountServiceAccountToken").text())
	require.Equal(t, "true", box.at("securityContext", "readOnlyRootFilesystem").text())
	require.Equal(t, "false", box.at("securityContext", "allowPrivilegeEscalation").text())
	require.Equal(t, "[ALL]", box.at("securityContext", "capabilities", "drop").text())
}

// mountOf returns where a container has a volume.
func mountOf(t *testing.T, box tree, volume string) string {
	t.Helper()
	for _, m := range box.at("volumeMounts").list() {
		if m.at("name").text() == volume {
			return m.at("mountPath").text()
		}
	}
	t.Fatalf("no volume %s", volume)
	return ""
}

// bytesOf reads an amount of memory, as Kubernetes or Go writes it.
func bytesOf(t *testing.T, text string) int64 {
	t.Helper()
	m := regexp.MustCompile(`^([0-9]+)(Mi|Gi)B?$`).FindStringSubmatch(text)
	require.NotNil(t, m, "%q", text)
	n, err := strconv.ParseInt(m[1], 10, 64)
	require.NoError(t, err)
	return n << map[string]int{"Mi": 20, "Gi": 30}[m[2]]
}

// parse has NATS read a configuration, in which a variable of the pod is in place of its name.
func parse(t *testing.T, text, pod string) *server.Options {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nats.conf")
	require.NoError(t, os.WriteFile(file, []byte("POD_NAME: "+pod+"\n"+text), 0o600)) // as the environment would
	o, err := server.ProcessConfigFile(file)
	require.NoError(t, err)
	return o
}

// runContainer runs the node with the arguments and the files of the container, asks what the
// probes ask, and stops it as the kubelet does.
func runContainer(t *testing.T, box, secret tree) {
	t.Helper()
	dir := t.TempDir()
	listener, port, err := places()
	require.NoError(t, err)
	defer listener.Close()
	f := &fleet{cancel: func() {}}
	require.NoError(t, f.addBrokers(dir, port))
	t.Cleanup(f.killAll)
	for _, b := range f.brokers {
		require.NoError(t, b.start())
	}
	keys := filepath.Join(dir, "keys.json")
	require.NoError(t, os.WriteFile(keys, []byte(secret.at("stringData", "keys.json").text()), 0o600))
	require.Equal(t, path.Join(mountOf(t, box, "keys"), "keys.json"), flagOf(box, "keys"))
	require.True(t, strings.HasPrefix(flagOf(box, "dir"), mountOf(t, box, "data")+"/"), "only the volume can be written to")
	require.Equal(t, ":"+box.at("ports", 0, "containerPort").text(), flagOf(box, "addr"))
	var args []string
	for _, arg := range box.at("args").list() {
		args = append(args, strings.NewReplacer(
			"="+flagOf(box, "keys"), "="+keys, "="+flagOf(box, "dir"), "="+filepath.Join(dir, "events"),
			"="+flagOf(box, "addr"), "="+port(3*size), "="+flagOf(box, "nats"), "="+f.brokerURLs,
		).Replace(arg.text()))
	}
	node := exec.Command(os.Args[0], args...)
	node.Dir = filepath.Join(dir, "work")
	require.NoError(t, os.Mkdir(node.Dir, 0o700))
	logged, err := node.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, node.Start())
	t.Cleanup(func() { _ = node.Process.Kill() })
	var log bytes.Buffer
	read := make(chan struct{})
	listens := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(logged)
		for lines.Scan() {
			log.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), listening) {
				close(listens)
			}
		}
		_, _ = io.Copy(io.Discard, logged)
	}()
	select {
	case <-listens:
	case <-read:
		t.Fatalf("the node has ended:\n%s", &log)
	}
	url := "http://" + port(3*size)
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		answer, err := http.Get(url + box.at(probe, "httpGet", "path").text())
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusOK, answer.StatusCode, probe)
	}
	r, err := http.NewRequest(http.MethodPost, url+"/v1/track", strings.NewReader(`{"event":"E","userId":"u"}`))
	require.NoError(t, err)
	r.SetBasicAuth("replace-this-key-2", "")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)

	require.NoError(t, node.Process.Signal(syscall.SIGTERM))
	<-read
	require.NoError(t, node.Wait(), &log)
	require.Contains(t, log.String(), drainedMessage)
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "`"+drainedMessage+"`")
	left, err := os.ReadDir(node.Dir)
	require.NoError(t, err)
	require.Empty(t, left, "it writes to its volume only")
	copies, err := f.read()
	require.NoError(t, err)
	require.Equal(t, []int{1}, slices.Collect(maps.Values(copies)))
}
