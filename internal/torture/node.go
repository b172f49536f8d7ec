package torture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// node is a connection to one redis-server, past all links, for our own eyes.
type node struct {
	addr, password string

	conn    net.Conn
	answers *bufio.Reader
}

// ask says commands of plain words, one a line, all at once, and reads an answer to each:
// a line or a text. After an error the connection is another one.
func (n *node) ask(within time.Duration, commands ...string) (answers []string, err error) {
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	deadline := time.Now().Add(within)
	if n.conn == nil {
		if n.conn, err = net.DialTimeout("tcp", n.addr, within); err != nil {
			return nil, err
		}
		n.answers = bufio.NewReader(n.conn)
		if err := n.conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
		if _, err := fmt.Fprintf(n.conn, "AUTH %s\r\n", n.password); err != nil {
			return nil, err
		}
		if _, err := n.answer(); err != nil {
			return nil, err
		}
	}
	if err := n.conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(n.conn, strings.Join(commands, "\r\n")+"\r\n"); err != nil {
		return nil, err
	}
	for _, command := range commands {
		text, err := n.answer()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		answers = append(answers, text)
	}
	return answers, nil
}

// answer reads one.
func (n *node) answer() (string, error) {
	line, err := n.answers.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	switch {
	case line == "":
		return "", errors.New("it answers with an empty line")
	case line[0] == '-':
		return "", errors.New(line[1:])
	case line[0] != '$':
		return line[1:], nil
	}
	size, err := strconv.Atoi(line[1:])
	if err != nil || size < 0 {
		return "", fmt.Errorf("it answers %q", line)
	}
	text := make([]byte, size+len("\r\n"))
	if _, err := io.ReadFull(n.answers, text); err != nil {
		return "", err
	}
	return string(text[:size]), nil
}

func (n *node) close() {
	if n.conn != nil {
		_ = n.conn.Close() // what it had to say is of no interest any more
		n.conn = nil
	}
}
