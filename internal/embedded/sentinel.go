package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// masterName is what the sentinels call the master they watch.
const masterName = "sluice"

// SentinelOptions describes a master with replicas and the sentinels that watch them.
type SentinelOptions struct {
	// Dir holds a folder for each server, made if missing. There must be no deployment
	// in it already.
	Dir string
	// Replicas of the master; 0: one.
	Replicas int
	// Sentinels; 0: three, the least of which one may be away. Most of them must agree
	// that the master is dead.
	Sentinels int
	// Password is asked of every client, by the sentinels too. Empty: none. It may hold
	// nothing that needs quotes: a sentinel forgets them when it writes its settings.
	Password string
	// Durable makes master and replicas append what they write to a file, synced each
	// second.
	Durable bool
	// DownAfter is how long a server may be silent before a sentinel takes it for dead.
	// 0: one second, which suits tests that wait for it.
	DownAfter time.Duration
	// Args are more settings of master and replicas, as on the command line. They win.
	Args []string
}

// Sentinels is a deployment of one master, replicas and sentinels, processes of ours on
// loopback. Its servers are numbered: the master of the start, the replicas, then the
// sentinels. Who is the master changes, the numbers do not.
type Sentinels struct {
	URL string // redis+sentinel://:password@127.0.0.1:port,…/sluice?sentinel_password=… of all sentinels
	*fleet

	data int
}

// StartSentinel starts the deployment and returns when all sentinels see all of it and
// every replica has the master's data.
func StartSentinel(ctx context.Context, o SentinelOptions) (*Sentinels, error) {
	o.Replicas, o.Sentinels = cmp.Or(o.Replicas, 1), cmp.Or(o.Sentinels, 3)
	o.DownAfter = cmp.Or(o.DownAfter, time.Second)
	var s *Sentinels
	var err error
	for range 5 { // as in StartCluster
		if s, err = startSentinel(ctx, o); err == nil || !portTaken(err) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start a master with sentinels: %w", err)
	}
	if err := s.Healthy(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a master with sentinels: %w", err), s.Stop())
	}
	return s, nil
}

func startSentinel(ctx context.Context, o SentinelOptions) (*Sentinels, error) {
	s := &Sentinels{data: 1 + o.Replicas}
	ports, err := freePorts(s.data + o.Sentinels)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "redis+sentinel", Path: "/" + masterName}
	ids := make([]string, len(ports))
	var hosts []string
	for i := s.data; i < len(ports); i++ {
		ids[i] = newID()
		hosts = append(hosts, address(ports[i]))
	}
	u.Host = strings.Join(hosts, ",")
	if o.Password != "" {
		u.User = url.UserPassword("", o.Password)
		u.RawQuery = url.Values{"sentinel_password": {o.Password}}.Encode()
	}
	s.URL = u.String()

	servers := make([]RedisOptions, len(ports))
	for i, port := range ports {
		dir, err := filepath.Abs(filepath.Join(o.Dir, "node-"+strconv.Itoa(i)))
		if err != nil {
			return nil, err
		}
		// The file is kept over a Restart: the sentinels write down in it who follows whom.
		servers[i] = RedisOptions{Dir: dir, Port: port, Password: o.Password, node: &nodeSettings{keep: true}}
		if i >= s.data {
			servers[i].node.sentinel = true
			servers[i].node.lines = watching(ids, ports, i, s.data, o)
			continue
		}
		servers[i].Durable, servers[i].Args = o.Durable, o.Args
		lines := []string{"repl-diskless-sync yes", "repl-diskless-sync-delay 0", "shutdown-timeout 0"}
		if o.Password != "" {
			lines = append(lines, "masterauth "+strconv.Quote(o.Password))
		}
		if i > 0 {
			lines = append(lines, "replicaof 127.0.0.1 "+strconv.Itoa(ports[0]))
		}
		servers[i].node.lines = lines
	}
	// A sentinel that finds nobody asks again after ten seconds.
	if s.fleet, err = launch(ctx, servers[:s.data]); err != nil {
		return nil, err
	}
	sentinels, err := launch(ctx, servers[s.data:])
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	s.servers = append(s.servers, sentinels.servers...)
	return s, nil
}

// watching are the settings of one sentinel. It knows the replicas and the other
// sentinels from the start, of which it would hear within seconds anyway.
func watching(ids []string, ports []int, self, data int, o SentinelOptions) []string {
	setting := func(name string, values ...any) string {
		return strings.TrimSpace("sentinel " + name + " " + masterName + " " + fmt.Sprintln(values...))
	}
	lines := []string{
		"sentinel myid " + ids[self],
		setting("monitor", "127.0.0.1", ports[0], o.Sentinels/2+1),
		setting("down-after-milliseconds", o.DownAfter.Milliseconds()),
		setting("failover-timeout", 3*o.DownAfter.Milliseconds()),
		setting("parallel-syncs", o.Replicas),
	}
	if o.Password != "" {
		lines = append(lines, setting("auth-pass", strconv.Quote(o.Password)), "sentinel sentinel-pass "+strconv.Quote(o.Password))
	}
	for i, port := range ports[1:] {
		switch i++; {
		case i == self:
		case i < data:
			lines = append(lines, setting("known-replica", "127.0.0.1", port))
		default:
			lines = append(lines, setting("known-sentinel", "127.0.0.1", port, ids[i]))
		}
	}
	return lines
}

// Data is how many servers hold data; those from this number on are sentinels.
func (s *Sentinels) Data() int { return s.data }

// Master is the number of the server that the sentinels name as the master. It may be
// dead, as long as they have not agreed on another one.
func (s *Sentinels) Master(ctx context.Context) (int, error) {
	master, epoch := -1, int64(-1)
	errs := []error{errors.New("no sentinel names a master")}
	for i := s.data; i < len(s.servers); i++ {
		named, err := s.named(ctx, i)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		// They tell each other who was chosen last.
		if chosen, err := strconv.ParseInt(named["config-epoch"], 10, 64); err == nil && chosen > epoch {
			epoch = chosen
			master = slices.IndexFunc(s.servers, func(m *member) bool { return strconv.Itoa(m.options.Port) == named["port"] })
		}
	}
	if master < 0 {
		return 0, errors.Join(errs...)
	}
	return master, nil
}

// named is what a sentinel says of the master.
func (s *Sentinels) named(ctx context.Context, i int) (map[string]string, error) {
	if !s.servers[i].there() {
		return nil, fmt.Errorf("sentinel %d does not run", i)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	ask := redis.NewMapStringStringCmd(ctx, "sentinel", "master", masterName)
	if err := s.servers[i].ops.Process(ctx, ask); err != nil {
		return nil, fmt.Errorf("sentinel %d: %w", i, err)
	}
	return ask.Val(), nil
}

// Promote lets the sentinels make a replica of their choice the master and returns when
// it is. They refuse while they are busy with another one.
func (s *Sentinels) Promote(ctx context.Context) error {
	before, err := s.Master(ctx)
	if err != nil {
		return fmt.Errorf("promote a replica: %w", err)
	}
	for i := s.data; i < len(s.servers); i++ {
		if s.servers[i].there() {
			if err = s.servers[i].ops.Do(ctx, "sentinel", "failover", masterName).Err(); err == nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("promote a replica: %w", err)
	}
	for {
		if now, err := s.Master(ctx); err == nil && now != before && s.role(ctx, now, "role:master") == nil {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("promote a replica: %w", err)
		}
	}
}

// Healthy waits until all running sentinels name the same master and find nothing wrong
// with it, it is one, and the other running servers follow it.
func (s *Sentinels) Healthy(ctx context.Context) error {
	for {
		wrong := s.fault(ctx)
		if wrong == nil {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("wait for master and sentinels to be well: %w: %w", err, wrong)
		}
	}
}

// fault is what keeps the deployment from being well; nil: nothing.
func (s *Sentinels) fault(ctx context.Context) error {
	master, err := s.Master(ctx)
	if err != nil {
		return err
	}
	if !s.servers[master].there() {
		return fmt.Errorf("the master is server %d, which does not run", master)
	}
	errs := make([]error, len(s.servers))
	var looking sync.WaitGroup
	for i, m := range s.servers {
		if !m.there() {
			continue
		}
		looking.Go(func() {
			switch {
			case i >= s.data:
				errs[i] = s.content(ctx, i, master)
			case i == master:
				errs[i] = s.role(ctx, i, "role:master")
			default:
				errs[i] = s.role(ctx, i, "role:slave", "master_link_status:up", "master_port:"+strconv.Itoa(s.servers[master].options.Port))
			}
		})
	}
	looking.Wait()
	return errors.Join(errs...)
}

// content is nil when a sentinel names this master, finds nothing wrong with it and
// knows all others.
func (s *Sentinels) content(ctx context.Context, i, master int) error {
	named, err := s.named(ctx, i)
	if err != nil {
		return err
	}
	for name, want := range map[string]string{
		"port": strconv.Itoa(s.servers[master].options.Port), "flags": "master",
		"num-slaves": strconv.Itoa(s.data - 1), "num-other-sentinels": strconv.Itoa(len(s.servers) - s.data - 1),
	} {
		if named[name] != want {
			return fmt.Errorf("%s is %q for sentinel %d, not %q", name, named[name], i, want)
		}
	}
	return nil
}

// role is nil when a server says all this of its place among the others.
func (s *Sentinels) role(ctx context.Context, i int, wants ...string) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	replication, err := s.servers[i].ops.Info(ctx, "replication").Result()
	if err != nil {
		return fmt.Errorf("server %d: %w", i, err)
	}
	for _, want := range wants {
		if !strings.Contains(replication, want+"\r\n") {
			return fmt.Errorf("server %d does not say %s", i, want)
		}
	}
	return nil
}
