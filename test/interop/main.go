// The peer that the tests of src/wire talk to: the Go libraries that the real server and daemon are built on, in both roles.
//
//	interop serve             listens on loopback, prints its address, serves /raw and /drpc until its standard input ends
//	interop dial URL          plays the client's side against a server at URL; prints one JSON line per scenario
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/coder/websocket"
	"github.com/hashicorp/yamux"
)

// The server's limit on one received message.
const readLimit = 262144

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		err = serve()
	case len(os.Args) == 3 && os.Args[1] == "dial":
		err = dialAll(os.Args[2])
	default:
		err = fmt.Errorf("usage: interop serve | interop dial URL")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

// lockedBuffer collects what yamux logs: a warning in it is a finding.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func yamuxConfig(log io.Writer) *yamux.Config {
	config := yamux.DefaultConfig()
	config.LogOutput = log
	return config
}

func serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var log lockedBuffer
	mux := http.NewServeMux()
	mux.HandleFunc("/raw", upgrade(&log, serveRaw))
	mux.HandleFunc("/drpc", upgrade(&log, serveDRPC))
	mux.HandleFunc("/goaway", upgrade(&log, serveGoAway))
	mux.HandleFunc("/abrupt", abrupt)
	mux.HandleFunc("/log", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, log.String()) })
	fmt.Printf("127.0.0.1:%d\n", listener.Addr().(*net.TCPAddr).Port)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, mux)
}

func upgrade(log io.Writer, use func(*yamux.Session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
		if err != nil {
			return
		}
		conn := websocket.NetConn(context.Background(), socket, websocket.MessageBinary)
		socket.SetReadLimit(readLimit)
		session, err := yamux.Server(conn, yamuxConfig(log))
		if err != nil {
			return
		}
		use(session)
		_ = session.Close()
	}
}

// abrupt ends the TCP connection without a word after the first byte of yamux.
func abrupt(w http.ResponseWriter, r *http.Request) {
	socket, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	_, _, _ = socket.Read(r.Context())
	_ = socket.CloseNow()
}

// report prints one scenario's result as a line of JSON.
func report(name string, err error) {
	line := map[string]string{"name": name, "error": ""}
	if err != nil {
		line["error"] = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(line)
}
