// Package redisurl reads the address of a Redis, of whichever kind, and makes clients for
// it. It is the only place that knows how such an address is written:
//
//	redis://[user:password@]host:port/db             one server (rediss:// by TLS, unix:// by a socket)
//	redis+sentinel://[user:password@]host:port,host:port,…/master-name[/db][?sentinel_username=…&sentinel_password=…]
//	redis+cluster://[user:password@]host:port,host:port,…
//
// The hosts of the second are the Sentinels, which know where the master is; those of the
// third are seeds: any node of the cluster that answers tells of all the others. Both are
// by TLS as rediss+sentinel:// and rediss+cluster://.
package redisurl

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Mode is the kind of a Redis.
type Mode string

// The modes.
const (
	Server   Mode = "server"
	Sentinel Mode = "sentinel" // one server, and Sentinels that put a replica in its place
	Cluster  Mode = "cluster"  // many servers, each with a part of the slots
)

// Target is a Redis that can be connected to.
type Target struct {
	Mode Mode

	// Dial opens the connections to the servers themselves, and to Sentinels; nil: the
	// driver does. It opens bare ones: TLS, where the URL wants it, is put on top.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	Addrs              []string // host:port, or the path of a socket
	Socket             bool     // it is one
	Master             string   // what the Sentinels call it
	DB                 int
	Username, Password string // of the servers

	SentinelUsername, SentinelPassword string

	tls    *tls.Config
	server *redis.Options // of one server: what else its URL says
}

// Parse reads an address. Its errors repeat nothing of it: it may hold a password.
func Parse(address string) (*Target, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return nil, errors.New("it has no scheme, like redis://")
	}
	base, mode, many := strings.Cut(scheme, "+")
	if !many {
		return parseServer(address)
	}
	if base != "redis" && base != "rediss" || mode != string(Sentinel) && mode != string(Cluster) {
		return nil, errors.New("its scheme is none of redis, rediss, unix, redis+sentinel, rediss+sentinel, redis+cluster, rediss+cluster")
	}
	hosts, u, err := parseMany(rest)
	if err != nil {
		return nil, err
	}
	t := &Target{Mode: Mode(mode), Addrs: hosts}
	t.Username = u.User.Username()
	t.Password, _ = u.User.Password()
	if base == "rediss" {
		t.tls = &tls.Config{MinVersion: tls.VersionTLS12} // each host is proved by its own name
	}
	if t.Mode == Cluster {
		return t, t.cluster(u)
	}
	return t, t.sentinel(u)
}

// parseServer leaves one server to the driver, whose many settings its URL may carry.
func parseServer(address string) (*Target, error) {
	o, err := redis.ParseURL(address)
	if err != nil {
		return nil, errors.New("it is no URL of a Redis server")
	}
	if o.Network != "unix" && strings.Contains(o.Addr, ",") {
		return nil, errors.New("it names several hosts: they are redis+cluster:// or redis+sentinel://")
	}
	return &Target{
		Mode: Server, Addrs: []string{o.Addr}, Socket: o.Network == "unix", DB: o.DB,
		Username: o.Username, Password: o.Password, tls: o.TLSConfig, server: o,
	}, nil
}

// parseMany splits what follows the scheme into hosts and all else, with one host in their
// place.
func parseMany(rest string) (hosts []string, u *url.URL, err error) {
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	at := strings.LastIndexByte(rest[:end], '@') + 1
	for host := range strings.SplitSeq(rest[at:end], ",") {
		name, port, err := net.SplitHostPort(host)
		number, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || portErr != nil || number == 0 || name == "" || strings.ContainsAny(name, " \t\r\n%") {
			return nil, nil, errors.New("its hosts must be host:port,host:port,…")
		}
		hosts = append(hosts, net.JoinHostPort(name, strconv.FormatUint(number, 10)))
	}
	if u, err = url.Parse("redis://" + rest[:at] + "host" + rest[end:]); err != nil {
		return nil, nil, errors.New("its user, password or path cannot be read: escape what is special in a URL")
	}
	return hosts, u, nil
}

// cluster reads what may stand behind the seeds of one: nothing.
func (t *Target) cluster(u *url.URL) error {
	switch {
	case u.Path != "" && u.Path != "/" && u.Path != "/0":
		return errors.New("a cluster has one database, 0")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("a cluster's URL ends with its hosts")
	}
	return nil
}

// sentinel reads what stands behind the Sentinels: which master, which database, and who
// asks them.
func (t *Target) sentinel(u *url.URL) error {
	name, db, hasDB := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if t.Master = name; name == "" || u.Fragment != "" {
		return errors.New("it must name the master behind the Sentinels: host:port/master-name")
	}
	if hasDB {
		n, err := strconv.ParseUint(db, 10, 16)
		if err != nil {
			return errors.New("its database must be a number")
		}
		t.DB = int(n)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("its parameters cannot be read: escape what is special in a URL")
	}
	for name, values := range query {
		switch last := values[len(values)-1]; name {
		case "sentinel_username":
			t.SentinelUsername = last
		case "sentinel_password":
			t.SentinelPassword = last
		default:
			return errors.New("it has a parameter that is neither sentinel_username nor sentinel_password")
		}
	}
	return nil
}

// String is the address without passwords and parameters.
func (t *Target) String() string {
	scheme, path := "redis", ""
	switch {
	case t.Socket:
		scheme = "unix"
	case t.tls != nil:
		scheme = "rediss"
	}
	if t.Mode != Server {
		scheme += "+" + string(t.Mode)
	}
	if t.Mode == Sentinel {
		path = "/" + url.PathEscape(t.Master)
	}
	if t.DB != 0 {
		path += "/" + strconv.Itoa(t.DB)
	}
	return fmt.Sprintf("%s://%s%s", scheme, strings.Join(t.Addrs, ","), path)
}
