package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ClusterOptions describes a Redis Cluster.
type ClusterOptions struct {
	// Dir holds a folder for each server, made if missing. There must be no cluster in
	// it already.
	Dir string
	// Masters serve the slots, evenly; 0: three, the least that can agree on anything.
	Masters int
	// Replicas of each master.
	Replicas int
	// Password is asked of every client and by the servers of each other. Empty: none.
	Password string
	// Durable makes every server append what it writes to a file, synced each second.
	Durable bool
	// NodeTimeout is how long a server may be silent before the others take it for
	// dead and a replica of its takes over. 0: two seconds, which suits tests that wait
	// for it; a deployment has more to lose by a hasty one.
	NodeTimeout time.Duration
	// Args are more settings of every server, as on the command line. They win.
	Args []string
}

// Cluster is a Redis Cluster of processes of ours on loopback. Its servers are numbered:
// the masters of the start first, in the order of their slots, then the replicas, first
// those of the first master. Who is a master changes, the numbers do not.
type Cluster struct {
	URL string // redis+cluster://:password@127.0.0.1:port,127.0.0.1:port,… of all servers
	*fleet

	password string
	ids      []string // by which the servers know each other
}

// clusterSettings are of every server. A master that is away must concern only its own
// slots, and nobody may move over to another master behind the back of who counts them.
// All stop together, so none waits until a replica has heard all.
var clusterSettings = []string{
	"cluster-enabled yes",
	"cluster-config-file nodes.conf",
	"cluster-announce-ip 127.0.0.1",
	"cluster-require-full-coverage no",
	"cluster-allow-replica-migration no",
	"repl-diskless-sync yes",
	"repl-diskless-sync-delay 0",
	"shutdown-timeout 0",
}

// StartCluster starts the servers of a cluster and returns when every one of them sees
// the whole of it, all slots are served, and every replica has its master's data. This
// takes two seconds, for which a master that starts keeps still.
func StartCluster(ctx context.Context, o ClusterOptions) (*Cluster, error) {
	o.Masters = cmp.Or(o.Masters, 3)
	o.NodeTimeout = cmp.Or(o.NodeTimeout, 2*time.Second)
	var c *Cluster
	var err error
	// Somebody else may take one of so many ports before its server does.
	for range 5 {
		if c, err = startCluster(ctx, o); err == nil || !portTaken(err) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start a cluster: %w", err)
	}
	if err := c.Healthy(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a cluster: %w", err), c.Stop())
	}
	return c, nil
}

func startCluster(ctx context.Context, o ClusterOptions) (*Cluster, error) {
	count := o.Masters * (1 + o.Replicas)
	ports, err := freePorts(2 * count)
	if err != nil {
		return nil, err
	}
	ports, buses := ports[:count], ports[count:]
	c := &Cluster{password: o.Password}
	hosts := make([]string, count)
	for i, port := range ports {
		hosts[i] = address(port)
		c.ids = append(c.ids, newID())
	}
	u := url.URL{Scheme: "redis+cluster", Host: strings.Join(hosts, ",")}
	if o.Password != "" {
		u.User = url.UserPassword("", o.Password)
	}
	c.URL = u.String()

	servers := make([]RedisOptions, count)
	for i := range servers {
		dir, err := filepath.Abs(filepath.Join(o.Dir, "node-"+strconv.Itoa(i)))
		if err != nil {
			return nil, err
		}
		lines := append([]string{
			"cluster-port " + strconv.Itoa(buses[i]),
			"cluster-node-timeout " + strconv.FormatInt(o.NodeTimeout.Milliseconds(), 10),
		}, clusterSettings...)
		if o.Password != "" {
			lines = append(lines, "masterauth "+strconv.Quote(o.Password))
		}
		servers[i] = RedisOptions{
			Dir: dir, Port: ports[i], Password: o.Password, Durable: o.Durable, Args: o.Args,
			node: &nodeSettings{lines: lines},
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the folder of a server: %w", err)
		}
		acquainted := acquaintances(c.ids, ports, buses, o.Masters, i)
		if err := os.WriteFile(filepath.Join(dir, "nodes.conf"), []byte(acquainted), 0o600); err != nil {
			return nil, fmt.Errorf("write what a server knows of the others: %w", err)
		}
	}
	c.fleet, err = launch(ctx, servers)
	return c, err
}

// acquaintances is the nodes.conf with which one server begins: as it would be after
// CLUSTER MEET, ADDSLOTS and REPLICATE, and after the gossip that follows and ends when
// it likes.
func acquaintances(ids []string, ports, buses []int, masters, self int) string {
	var text strings.Builder
	for i, id := range ids {
		role, master, epoch := "master", "-", i+1
		slots := fmt.Sprintf(" %d-%d", i*Slots/masters, (i+1)*Slots/masters-1)
		if i >= masters {
			of := masterOf(i, masters, len(ids))
			role, master, epoch, slots = "slave", ids[of], of+1, ""
		}
		if i == self {
			role = "myself," + role
		}
		fmt.Fprintf(&text, "%s 127.0.0.1:%d@%d %s %s 0 0 %d connected%s\n", id, ports[i], buses[i], role, master, epoch, slots)
	}
	fmt.Fprintf(&text, "vars currentEpoch %d lastVoteEpoch 0\n", masters)
	return text.String()
}

// masterOf is the number of the master of which a server is a replica at the start.
func masterOf(i, masters, count int) int {
	replicas := count/masters - 1
	return (i - masters) / replicas
}

// newID is 40 hexadecimal digits, as Redis names its servers.
func newID() string {
	a, b := uuid.New(), uuid.New()
	return strings.ReplaceAll(a.String()+b.String(), "-", "")[:40]
}
