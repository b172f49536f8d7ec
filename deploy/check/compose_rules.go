package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// composeRule is one thing that must hold of docker-compose.yml. compose_test.go has a
// file for each that breaks it.
type composeRule struct {
	name   string
	broken func(context.Context, deployment) ([]fault, error)
}

var composeRules = []composeRule{
	{"every process is there", perProject(processesAreThere)},
	{"images are pinned", perService(imageIsPinned)},
	{"who ends is started again", perService(restarts)},
	{"health is asked for", perService(hasHealthCheck)},
	{"limits are set", perService(hasLimits)},
	{"nobody may more than he must", perService(isHardened)},
	{"logs are bounded", perService(logIsBounded)},
	{"ports are published on loopback", perService(publishesOnLoopback)},
	{"who waits, waits for health", perProject(waitsForHealth)},
	{"mounts exist and are read-only", perProject(mountsExist)},
	{"secrets come from outside", perProject(secretsComeFromOutside)},
	{"env.example names what the file takes", perProject(exampleIsComplete)},
	{"settings are known and taken", settingsAreTaken},
	{"processes agree", perProject(processesAgree)},
	{"grace is long enough", perProject(graceIsLongEnough)},
	{"memory of Go stays below the limit", perProject(goStaysBelow)},
	{"Postgres has a connection for everybody", perProject(connectionsSuffice)},
	{"Redis keeps what it is told", perProject(redisKeeps)},
	{"stores are out of reach", perProject(storesAreInside)},
	{"the proxy is believed, and nobody else", perProject(proxyIsTrusted)},
	{"operations ports are where they are looked for", perProject(opsPortsAgree)},
	{"Grafana finds its data and its dashboards", perProject(grafanaFinds)},
}

func perService(rule func(types.ServiceConfig) []string) func(context.Context, deployment) ([]fault, error) {
	return func(_ context.Context, d deployment) (all []fault, _ error) {
		for _, name := range d.project.ServiceNames() {
			for _, what := range rule(d.project.Services[name]) {
				all = append(all, fault{where: name, what: what})
			}
		}
		return all, nil
	}
}

func perProject(rule func(deployment) []string) func(context.Context, deployment) ([]fault, error) {
	return func(_ context.Context, d deployment) (all []fault, _ error) {
		for _, what := range slices.Sorted(slices.Values(rule(d))) { // maps have no order
			all = append(all, fault{where: "docker-compose.yml", what: what})
		}
		return all, nil
	}
}

// replicas answers how many containers a service has.
func replicas(s types.ServiceConfig) int {
	if s.Deploy != nil && s.Deploy.Replicas != nil {
		return *s.Deploy.Replicas
	}
	return 1
}

// once says whether a service does one thing and ends.
func once(s types.ServiceConfig) bool { return s.Restart == "no" }

func processesAreThere(d deployment) (wrong []string) {
	for name, least := range map[string]int{"proxy": 1, "api": 2, "consumer": 2, "scheduler": 2, "migrate": 1, "redis": 1, "postgres": 1, "prometheus": 1, "grafana": 1} {
		s, ok := d.project.Services[name]
		if !ok {
			wrong = append(wrong, name+" is missing")
		} else if replicas(s) < least {
			wrong = append(wrong, fmt.Sprintf("%s has %d replicas, of at least %d", name, replicas(s), least))
		}
	}
	return wrong
}

var release = regexp.MustCompile(`:v?[0-9]+\.[0-9]+(\.[0-9]+)?(-[a-z0-9.]+)?(@sha256:[0-9a-f]{64})?$`)

func imageIsPinned(s types.ServiceConfig) []string {
	if strings.HasPrefix(s.Image, "sluice:") || release.MatchString(s.Image) {
		return nil
	}
	return []string{fmt.Sprintf("image %q names no release", s.Image)}
}

func restarts(s types.ServiceConfig) []string {
	if s.Restart == "unless-stopped" || s.Restart == "always" || once(s) && s.Name == "migrate" {
		return nil
	}
	return []string{fmt.Sprintf("restart is %q", s.Restart)}
}

func hasHealthCheck(s types.ServiceConfig) []string {
	h := s.HealthCheck
	switch {
	case once(s):
		return nil
	case h == nil || h.Disable || len(h.Test) < 2 || h.Test[0] == "NONE":
		return []string{"has no health check"}
	case h.Interval == nil || h.Timeout == nil || h.Retries == nil || h.StartPeriod == nil:
		return []string{"its health check lacks interval, timeout, retries or start_period"}
	}
	return nil
}

func hasLimits(s types.ServiceConfig) (wrong []string) {
	if s.Deploy == nil || s.Deploy.Resources.Limits == nil {
		return []string{"has no limits"}
	}
	limits := s.Deploy.Resources.Limits
	if limits.NanoCPUs <= 0 || limits.MemoryBytes <= 0 || limits.Pids <= 0 {
		wrong = append(wrong, "lacks a limit of cpus, memory or pids")
	}
	return wrong
}

func isHardened(s types.ServiceConfig) (wrong []string) {
	must := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, what)
		}
	}
	uid, _, _ := strings.Cut(s.User, ":")
	number, err := strconv.Atoi(uid)
	must(err == nil && number > 0, fmt.Sprintf("user is %q: it must be a number that is not root's", s.User))
	must(s.ReadOnly, "its files can be changed: read_only is missing")
	must(slices.Equal(s.CapDrop, []string{"ALL"}) && len(s.CapAdd) == 0, "keeps capabilities")
	must(slices.Contains(s.SecurityOpt, "no-new-privileges:true"), "may gain privileges")
	must(!s.Privileged && s.NetworkMode == "" && s.Pid == "" && s.Ipc == "", "shares the host's namespaces")
	for _, v := range s.Volumes {
		must(!strings.Contains(v.Source, "docker.sock"), "holds Docker's socket")
	}
	return wrong
}

func logIsBounded(s types.ServiceConfig) []string {
	if s.Logging == nil || s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "" {
		return []string{"its log grows without bound"}
	}
	return nil
}

func publishesOnLoopback(s types.ServiceConfig) (wrong []string) {
	for _, p := range s.Ports {
		if ip := net.ParseIP(p.HostIP); ip == nil || !ip.IsLoopback() {
			wrong = append(wrong, fmt.Sprintf("publishes %s on %q", p.Published, p.HostIP))
		}
	}
	return wrong
}

// waitsForHealth: a condition must be one that the other can come to meet, and what stands
// on a store must wait for it.
func waitsForHealth(d deployment) (wrong []string) {
	for _, name := range d.project.ServiceNames() {
		s := d.project.Services[name]
		for on, depends := range s.DependsOn {
			other := d.project.Services[on]
			switch {
			case depends.Condition == types.ServiceConditionHealthy && !once(other) && len(hasHealthCheck(other)) == 0:
			case depends.Condition == types.ServiceConditionCompletedSuccessfully && once(other):
			default:
				wrong = append(wrong, fmt.Sprintf("%s waits for %s to be %s", name, on, depends.Condition))
			}
		}
		if !d.programs.ours(s.Command) {
			continue
		}
		for variable, needs := range map[string][]string{"SLUICE_REDIS_URL": {"redis"}, "SLUICE_POSTGRES_URL": {"postgres"}} {
			if _, ok := s.Environment[variable]; !ok {
				continue
			}
			if !once(s) && variable == "SLUICE_POSTGRES_URL" {
				needs = append(needs, "migrate")
			}
			for _, need := range needs {
				if _, ok := s.DependsOn[need]; !ok {
					wrong = append(wrong, name+" does not wait for "+need)
				}
			}
		}
	}
	if _, ok := d.project.Services["proxy"].DependsOn["api"]; !ok {
		wrong = append(wrong, "proxy does not wait for api")
	}
	return wrong
}

func mountsExist(d deployment) (wrong []string) {
	for _, s := range d.project.Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if !v.ReadOnly {
				wrong = append(wrong, s.Name+" may change "+v.Source)
			}
			if !isFile(v.Source) && isEmpty(v.Source) {
				wrong = append(wrong, s.Name+" mounts what is missing or empty: "+v.Source)
			}
		}
	}
	return wrong
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// isEmpty says that there is no folder with something in it.
func isEmpty(path string) bool {
	entries, err := os.ReadDir(path)
	return err != nil || len(entries) == 0
}

var secretName = regexp.MustCompile(`PASSWORD|SECRET|TOKEN|KEYS?$|AUTH$`)

// secretsComeFromOutside: what is secret by its name, or by its form, differs when the
// secrets outside do; and no secret is an argument, which everybody may read.
func secretsComeFromOutside(d deployment) (wrong []string) {
	for _, name := range d.project.ServiceNames() {
		s := d.project.Services[name]
		other := environment(d.again.Services[name])
		for variable, value := range environment(s) {
			u, err := url.Parse(value)
			hasPassword := err == nil && u.User != nil
			if (hasPassword || secretName.MatchString(variable)) && value == other[variable] {
				wrong = append(wrong, fmt.Sprintf("%s: %s stands in the file", name, variable))
			}
		}
		words := slices.Concat(s.Command, s.Entrypoint, slices.Collect(maps.Values(s.Labels)))
		if s.HealthCheck != nil {
			words = append(words, s.HealthCheck.Test...)
		}
		for _, secret := range d.secrets {
			if strings.Contains(strings.Join(words, "\n"), secret) {
				wrong = append(wrong, name+": a secret is an argument or a label")
			}
		}
		if len(s.EnvFiles) > 0 {
			wrong = append(wrong, name+": takes a whole file of variables, also those of others")
		}
	}
	return wrong
}

var interpolated = regexp.MustCompile(`\$\{([A-Z_]+)`)

// exampleIsComplete: deploy/env.example names every variable that the file takes, no
// other, and holds no secret itself.
func exampleIsComplete(d deployment) (wrong []string) {
	var takes, names []string
	for _, match := range interpolated.FindAllSubmatch(d.file, -1) {
		takes = append(takes, string(match[1]))
	}
	for _, line := range d.values {
		name, _, _ := strings.Cut(line, "=")
		names = append(names, name)
		if !slices.Contains(takes, name) {
			wrong = append(wrong, "does not take "+name+", which deploy/env.example names")
		}
	}
	slices.Sort(takes)
	for _, name := range slices.Compact(takes) {
		if !slices.Contains(names, name) {
			wrong = append(wrong, "takes "+name+", which deploy/env.example does not name")
		}
	}
	return wrong
}

func settingsAreTaken(ctx context.Context, d deployment) (all []fault, _ error) {
	for _, name := range d.project.ServiceNames() {
		s := d.project.Services[name]
		if !d.programs.ours(s.Command) {
			continue
		}
		wrong, err := d.programs.refused(ctx, s.Command, environment(s))
		if err != nil {
			return nil, err
		}
		for _, what := range wrong {
			all = append(all, fault{where: name, what: what})
		}
	}
	return all, nil
}

func processesAgree(d deployment) (wrong []string) {
	for _, variable := range []string{"SLUICE_REDIS_URL", "SLUICE_POSTGRES_URL", "SLUICE_PARTITIONS", "SLUICE_PRODUCTION"} {
		values := map[string]bool{}
		for _, name := range []string{"api", "consumer", "scheduler"} {
			values[environment(d.project.Services[name])[variable]] = true
		}
		if len(values) != 1 || values[""] {
			wrong = append(wrong, "api, consumer and scheduler do not agree about "+variable)
		}
	}
	if mine := environment(d.project.Services["migrate"])["SLUICE_POSTGRES_URL"]; mine != environment(d.project.Services["api"])["SLUICE_POSTGRES_URL"] {
		wrong = append(wrong, "migrate works on another database than api")
	}
	for _, name := range []string{"consumer", "scheduler", "migrate"} {
		if _, ok := d.project.Services[name].Environment["SLUICE_JWT_KEYS"]; ok {
			wrong = append(wrong, name+" needs no token keys")
		}
	}
	return wrong
}

func graceIsLongEnough(d deployment) (wrong []string) {
	for _, s := range d.project.Services {
		if !d.programs.ours(s.Command) || once(s) {
			continue
		}
		grace, err := time.ParseDuration(environment(s)["SLUICE_SHUTDOWN_GRACE"])
		if err != nil || s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < grace+2*time.Second {
			wrong = append(wrong, s.Name+": stop_grace_period is not 2 s longer than SLUICE_SHUTDOWN_GRACE")
		}
	}
	return wrong
}

func goStaysBelow(d deployment) (wrong []string) {
	for _, s := range d.project.Services {
		if !d.programs.ours(s.Command) || once(s) {
			continue
		}
		mib, err := strconv.Atoi(strings.TrimSuffix(environment(s)["GOMEMLIMIT"], "MiB"))
		limit := int64(0)
		if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
			limit = int64(s.Deploy.Resources.Limits.MemoryBytes)
		}
		if err != nil || int64(mib)<<20 > limit*9/10 {
			wrong = append(wrong, s.Name+": GOMEMLIMIT is not at most nine tenths of the memory limit, in MiB")
		}
	}
	return wrong
}

// flagOf answers what follows a word on a command line, or stands behind name= in -c.
func flagOf(command []string, flag string) string {
	words := strings.Fields(strings.Join(command, " "))
	for i, word := range words {
		if word == flag && i+1 < len(words) {
			return words[i+1]
		}
		if value, ok := strings.CutPrefix(word, flag+"="); ok {
			return value
		}
	}
	return ""
}

// reserve is what migrations, probes, people and backups use.
const reserve = 20

func connectionsSuffice(d deployment) []string {
	most, err := strconv.Atoi(flagOf(d.project.Services["postgres"].Command, "max_connections"))
	if err != nil {
		return []string{"postgres does not say max_connections"}
	}
	sum := reserve
	for _, name := range []string{"api", "consumer", "scheduler"} {
		s := d.project.Services[name]
		each, err := strconv.Atoi(environment(s)["SLUICE_POSTGRES_CONNS"])
		if err != nil {
			return []string{name + " does not say SLUICE_POSTGRES_CONNS"}
		}
		sum += each * replicas(s)
	}
	if sum > most {
		return []string{fmt.Sprintf("postgres has %d connections; all processes and %d to spare need %d", most, reserve, sum)}
	}
	return nil
}

func redisKeeps(d deployment) (wrong []string) {
	s := d.project.Services["redis"]
	for flag, want := range map[string]string{"--appendonly": "yes", "--maxmemory-policy": "noeviction"} {
		if got := flagOf(s.Command, flag); got != want {
			wrong = append(wrong, fmt.Sprintf("redis: %s is %q, not %s", flag, got, want))
		}
	}
	mb, err := strconv.ParseInt(strings.TrimSuffix(flagOf(s.Command, "--maxmemory"), "mb"), 10, 64)
	limits := s.Deploy
	if err != nil || mb <= 0 || limits == nil || limits.Resources.Limits == nil || mb<<20 > int64(limits.Resources.Limits.MemoryBytes)/2 {
		wrong = append(wrong, "redis: maxmemory is not at most half of the memory limit, in mb")
	}
	for _, name := range []string{"redis", "postgres", "prometheus", "grafana"} {
		if !slices.ContainsFunc(d.project.Services[name].Volumes, func(v types.ServiceVolumeConfig) bool { return v.Type == types.VolumeTypeVolume }) {
			wrong = append(wrong, name+" keeps its data in no volume")
		}
	}
	return wrong
}

func storesAreInside(d deployment) (wrong []string) {
	for _, name := range []string{"redis", "postgres"} {
		s := d.project.Services[name]
		if len(s.Ports) > 0 {
			wrong = append(wrong, name+" is published")
		}
		for network := range s.Networks {
			if !d.project.Networks[network].Internal {
				wrong = append(wrong, name+" is in "+network+", which leads outside")
			}
		}
	}
	for _, name := range []string{"api", "consumer", "scheduler"} {
		if len(d.project.Services[name].Ports) > 0 {
			wrong = append(wrong, name+" is published beside the proxy")
		}
	}
	return wrong
}

func proxyIsTrusted(d deployment) (wrong []string) {
	trusted := environment(d.project.Services["api"])["SLUICE_TRUSTED_PROXIES"]
	address, err := netip.ParseAddr(trusted)
	if err != nil {
		return []string{"api: SLUICE_TRUSTED_PROXIES is not the one address of the proxy"}
	}
	for network, at := range d.project.Services["proxy"].Networks {
		if at == nil || at.Ipv4Address != address.String() {
			continue
		}
		for _, pool := range d.project.Networks[network].Ipam.Config {
			subnet, err := netip.ParsePrefix(pool.Subnet)
			given, rangeErr := netip.ParsePrefix(pool.IPRange)
			if err == nil && rangeErr == nil && subnet.Contains(address) && !given.Contains(address) {
				return nil
			}
		}
		return []string{network + " gives the proxy's address to somebody else"}
	}
	return []string{"proxy does not have the address that api trusts, " + trusted}
}

// opsPortsAgree: whom Prometheus scrapes and the proxy asks listens there, and where it
// can be reached.
func opsPortsAgree(d deployment) (wrong []string) {
	var scrapes struct {
		Jobs []struct {
			Name string `json:"job_name"`
			DNS  []struct {
				Names []string `json:"names"`
				Port  int      `json:"port"`
			} `json:"dns_sd_configs"`
		} `json:"scrape_configs"`
	}
	text, err := os.ReadFile(filepath.Join(d.root, "grafana/prometheus/prometheus.yml"))
	if err == nil {
		err = yaml.Unmarshal(text, &scrapes)
	}
	if err != nil {
		return []string{"who is scraped cannot be read: " + err.Error()}
	}
	scraped := map[string]int{}
	for _, job := range scrapes.Jobs {
		for _, dns := range job.DNS {
			for _, name := range dns.Names {
				scraped[name] = dns.Port
			}
		}
	}
	for _, name := range []string{"api", "consumer", "scheduler"} {
		s := d.project.Services[name]
		listens := environment(s)["SLUICE_OPS_LISTEN"]
		if want := fmt.Sprintf(":%d", scraped[name]); listens != want {
			wrong = append(wrong, fmt.Sprintf("%s: the operations port is %q, Prometheus scrapes %s", name, listens, want))
		}
		if _, ok := s.Networks["inside"]; !ok {
			wrong = append(wrong, name+" is not where Prometheus is")
		}
	}
	proxy, err := os.ReadFile(filepath.Join(d.root, "deploy/haproxy/haproxy.cfg"))
	if err != nil {
		return append(wrong, err.Error())
	}
	api := environment(d.project.Services["api"])
	for _, line := range []string{"check port " + strings.TrimPrefix(api["SLUICE_OPS_LISTEN"], ":") + " ", " api" + api["SLUICE_LISTEN"] + " ", "option forwardfor"} {
		if !strings.Contains(string(proxy), line) {
			wrong = append(wrong, fmt.Sprintf("haproxy.cfg lacks %q", line))
		}
	}
	return wrong
}

// grafanaFinds: what is provisioned names a container and a folder that are there.
func grafanaFinds(d deployment) (wrong []string) {
	mounted := map[string]string{}
	for _, v := range d.project.Services["grafana"].Volumes {
		mounted[v.Target] = v.Source
	}
	provisioning := mounted["/etc/grafana/provisioning"]
	var sources struct {
		Datasources []struct {
			URL string `json:"url"`
		} `json:"datasources"`
	}
	var providers struct {
		Providers []struct {
			Options struct {
				Path string `json:"path"`
			} `json:"options"`
		} `json:"providers"`
	}
	for folder, into := range map[string]any{"datasources": &sources, "dashboards": &providers} {
		files, err := filepath.Glob(filepath.Join(provisioning, folder, "*.y*ml"))
		if err != nil || len(files) != 1 {
			wrong = append(wrong, "grafana: there is not one file of "+folder)
			continue
		}
		text, err := os.ReadFile(files[0])
		if err == nil {
			err = yaml.Unmarshal(text, into)
		}
		if err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	for _, source := range sources.Datasources {
		u, err := url.Parse(source.URL)
		s, ok := types.ServiceConfig{}, false
		if err == nil {
			s, ok = d.project.Services[u.Hostname()]
		}
		reachable := false
		for network := range s.Networks {
			_, both := d.project.Services["grafana"].Networks[network]
			reachable = reachable || both
		}
		if !ok || !reachable || u.Port() != "9090" {
			wrong = append(wrong, "grafana: nobody answers at "+source.URL)
		}
	}
	for _, provider := range providers.Providers {
		if _, ok := mounted[provider.Options.Path]; !ok {
			wrong = append(wrong, "grafana: no folder is mounted at "+provider.Options.Path)
		}
	}
	home := environment(d.project.Services["grafana"])["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if _, err := os.Stat(filepath.Join(mounted[filepath.Dir(home)], filepath.Base(home))); home != "" && err != nil {
		wrong = append(wrong, "grafana: there is no dashboard "+home)
	}
	return wrong
}
