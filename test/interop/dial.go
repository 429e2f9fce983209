package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/hashicorp/yamux"
	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcerr"
)

type client struct {
	session *yamux.Session
	socket  *websocket.Conn
	log     *lockedBuffer
}

func dial(url string) (*client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, err
	}
	conn := websocket.NetConn(context.Background(), socket, websocket.MessageBinary)
	socket.SetReadLimit(readLimit)
	log := &lockedBuffer{}
	session, err := yamux.Client(conn, yamuxConfig(log))
	if err != nil {
		return nil, err
	}
	return &client{session, socket, log}, nil
}

type scenario struct {
	name string
	path string
	run  func(*client) error
}

func dialAll(base string) error {
	scenarios := []scenario{
		{"echo", "/raw", func(c *client) error { return c.echo(1_000_000) }},
		{"10000 streams, 200 at once", "/raw", (*client).manyStreams},
		{"half close", "/raw", (*client).halfClose},
		{"the peer closes first", "/raw", (*client).source},
		{"window exhaustion", "/raw", (*client).windowExhaustion},
		{"slow reader", "/raw", (*client).slowReader},
		{"reset", "/raw", (*client).reset},
		{"a stream that we open against the roles", "/opens", (*client).opensBack},
		{"ping", "/raw", (*client).ping},
		{"unary, large messages", "/drpc", (*client).unary},
		{"200 calls at once", "/drpc", (*client).manyCalls},
		{"streams of messages", "/drpc", (*client).streaming},
		{"Close ends an answer", "/drpc", (*client).closeEnds},
		{"errors", "/drpc", (*client).failures},
		{"cancel", "/drpc", (*client).cancel},
		{"abrupt end", "/raw", (*client).abruptEnd},
	}
	for _, s := range scenarios {
		report(s.name, s.play(base))
	}
	return nil
}

// play runs a scenario on a session of its own and looks for warnings of yamux afterwards.
func (s scenario) play(base string) error {
	c, err := dial(base + s.path)
	if err != nil {
		return err
	}
	defer c.session.Close()
	done := make(chan error, 1)
	go func() { done <- s.run(c) }()
	select {
	case err = <-done:
	case <-time.After(60 * time.Second):
		return errors.New("not done after 60 s")
	}
	if err == nil && s.name != "abrupt end" {
		err = c.settled()
	}
	if log := c.log.String(); err == nil && strings.TrimSpace(log) != "" && s.name != "abrupt end" {
		err = fmt.Errorf("yamux logged: %s", log)
	}
	return err
}

// settled waits until no stream is left open: each FIN was answered.
func (c *client) settled() error {
	for n := 0; n < 100; n++ {
		if c.session.NumStreams() == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%d streams are still open", c.session.NumStreams())
}

func (c *client) open(line string, args ...any) (*yamux.Stream, error) {
	stream, err := c.session.OpenStream()
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(stream, line+"\n", args...)
	return stream, err
}

func randomBytes(count int) []byte {
	data := make([]byte, count)
	_, _ = rand.Read(data)
	return data
}

func (c *client) echo(count int) error {
	stream, err := c.open("echo %d", count)
	if err != nil {
		return err
	}
	defer stream.Close()
	data := randomBytes(count)
	go func() { _, _ = stream.Write(data) }()
	back := make([]byte, count)
	if _, err := io.ReadFull(stream, back); err != nil {
		return err
	}
	if !bytes.Equal(data, back) {
		return errors.New("other bytes came back")
	}
	return nil
}

func (c *client) parallel(count, workers int, run func(n int) error) error {
	var group sync.WaitGroup
	failures := make(chan error, count)
	for worker := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := worker; n < count; n += workers {
				if err := run(n); err != nil {
					failures <- fmt.Errorf("%d: %w", n, err)
					return
				}
			}
		}()
	}
	group.Wait()
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}

func (c *client) manyStreams() error {
	return c.parallel(10_000, 200, func(n int) error { return c.echo(n % 3000) })
}

func (c *client) halfClose() error {
	stream, err := c.open("sink")
	if err != nil {
		return err
	}
	if _, err := stream.Write(randomBytes(1_000_000)); err != nil {
		return err
	}
	since := time.Now()
	if err := stream.Close(); err != nil {
		return err
	}
	if _, err := io.ReadAll(stream); err != nil {
		return err
	}
	if elapsed := time.Since(since); elapsed > time.Second {
		return fmt.Errorf("FIN was answered after %s", elapsed)
	}
	return nil
}

func (c *client) source() error {
	const count = 3_000_000
	stream, err := c.open("source %d", count)
	if err != nil {
		return err
	}
	defer stream.Close()
	data, err := io.ReadAll(stream)
	if err != nil {
		return err
	}
	var want bytes.Buffer
	_ = source(&want, count)
	if !bytes.Equal(data, want.Bytes()) {
		return fmt.Errorf("got %d bytes, or other ones", len(data))
	}
	return nil
}

func (c *client) windowExhaustion() error {
	stream, err := c.open("stall")
	if err != nil {
		return err
	}
	defer stream.Close()
	_ = stream.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	n, err := stream.Write(make([]byte, 1_000_000))
	if n != 262144-len("stall\n") {
		return fmt.Errorf("%d bytes were taken by a peer that does not read: should be %d", n, 262144-len("stall\n"))
	}
	if !errors.Is(err, yamux.ErrTimeout) {
		return fmt.Errorf("write: %v: should be a timeout", err)
	}
	// Another stream is not held up.
	return c.echo(100_000)
}

func (c *client) slowReader() error {
	const count = 3_000_000
	stream, err := c.open("hash %d", count)
	if err != nil {
		return err
	}
	defer stream.Close()
	data := randomBytes(count)
	if _, err := stream.Write(data); err != nil {
		return err
	}
	sum := make([]byte, 32)
	if _, err := io.ReadFull(stream, sum); err != nil {
		return err
	}
	if want := sha256.Sum256(data); !bytes.Equal(sum, want[:]) {
		return errors.New("other bytes arrived")
	}
	return nil
}

func (c *client) reset() error {
	stream, err := c.open("reset")
	if err != nil {
		return err
	}
	if _, err := io.ReadAll(stream); !errors.Is(err, yamux.ErrConnectionReset) {
		return fmt.Errorf("read: %v: should be a reset", err)
	}
	return c.echo(1000)
}

func (c *client) opensBack() error {
	stream, err := c.session.AcceptStream()
	if err != nil {
		return err
	}
	if stream.StreamID()%2 != 0 {
		return fmt.Errorf("the server opened id %d: should be even", stream.StreamID())
	}
	_, err = io.Copy(stream, io.LimitReader(stream, 300_000))
	_ = stream.Close()
	return err
}

func (c *client) ping() error {
	took, err := c.session.Ping()
	if err == nil && took > time.Second {
		return fmt.Errorf("answered after %s", took)
	}
	return err
}

func (c *client) rpc() (*drpcconn.Conn, error) {
	stream, err := c.session.OpenStream()
	if err != nil {
		return nil, err
	}
	return drpcconn.New(stream), nil
}

func (c *client) invoke(method string, request []byte) ([]byte, error) {
	conn, err := c.rpc()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var answer []byte
	err = conn.Invoke(context.Background(), method, plain{}, &request, &answer)
	return answer, err
}

func (c *client) unary() error {
	for _, count := range []int{0, 1, 4095, 4096, 65_535, 65_536, 65_537, 400_000, 4_194_304} {
		data := randomBytes(count)
		since := time.Now()
		back, err := c.invoke("/one", data)
		if err != nil {
			return fmt.Errorf("%d bytes: %w", count, err)
		}
		if !bytes.Equal(data, back) {
			return fmt.Errorf("%d bytes: other bytes came back", count)
		}
		if elapsed := time.Since(since); elapsed > 5*time.Second {
			return fmt.Errorf("%d bytes: took %s", count, elapsed)
		}
	}
	return nil
}

func (c *client) manyCalls() error {
	return c.parallel(2000, 200, func(n int) error {
		data := randomBytes(n * 7)
		back, err := c.invoke("/one", data)
		if err == nil && !bytes.Equal(data, back) {
			err = errors.New("other bytes came back")
		}
		return err
	})
}

func (c *client) streaming() error {
	conn, err := c.rpc()
	if err != nil {
		return err
	}
	defer conn.Close()
	// A call after another one on the same connection.
	for round := range 2 {
		stream, err := conn.NewStream(context.Background(), "/echo", plain{})
		if err != nil {
			return err
		}
		for n := range 20 {
			data := randomBytes(n * 10_000)
			var back []byte
			if err := stream.MsgSend(&data, plain{}); err != nil {
				return err
			}
			if err := stream.MsgRecv(&back, plain{}); err != nil {
				return err
			}
			if !bytes.Equal(data, back) {
				return fmt.Errorf("round %d, message %d: other bytes came back", round, n)
			}
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		var rest []byte
		if err := stream.MsgRecv(&rest, plain{}); !errors.Is(err, io.EOF) {
			return fmt.Errorf("after CloseSend: %v: should be EOF", err)
		}
	}
	return c.sourceAndSink()
}

func (c *client) sourceAndSink() error {
	conn, err := c.rpc()
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := conn.NewStream(context.Background(), "/source", plain{})
	if err != nil {
		return err
	}
	request := binary.BigEndian.AppendUint64(nil, 16)
	if err := stream.MsgSend(&request, plain{}); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for n := range uint64(16) {
		var message []byte
		if err := stream.MsgRecv(&message, plain{}); err != nil {
			return err
		}
		if len(message) != 1<<20 || binary.BigEndian.Uint64(message) != n {
			return fmt.Errorf("message %d: not what was sent", n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	sink, err := c.rpc()
	if err != nil {
		return err
	}
	defer sink.Close()
	up, err := sink.NewStream(context.Background(), "/sink", plain{})
	if err != nil {
		return err
	}
	for range 16 {
		message := make([]byte, 1<<20)
		if err := up.MsgSend(&message, plain{}); err != nil {
			return err
		}
	}
	if err := up.CloseSend(); err != nil {
		return err
	}
	var total []byte
	if err := up.MsgRecv(&total, plain{}); err != nil {
		return err
	}
	if got := binary.BigEndian.Uint64(total); got != 16<<20 {
		return fmt.Errorf("%d bytes arrived", got)
	}
	return nil
}

func (c *client) closeEnds() error {
	conn, err := c.rpc()
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := conn.NewStream(context.Background(), "/close", plain{})
	if err != nil {
		return err
	}
	// As an acquire does: the first thing is to receive.
	received := make(chan error, 1)
	var answer []byte
	go func() { received <- stream.MsgRecv(&answer, plain{}) }()
	time.Sleep(50 * time.Millisecond)
	var empty []byte
	if err := stream.MsgSend(&empty, plain{}); err != nil {
		return err
	}
	if err := <-received; err != nil {
		return err
	}
	if err := stream.MsgRecv(&answer, plain{}); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after Close: %v: should be EOF", err)
	}
	return nil
}

func (c *client) failures() error {
	_, err := c.invoke("/fail", nil)
	if err == nil || err.Error() != "boom" || drpcerr.Code(err) != 0 {
		return fmt.Errorf("/fail: %v", err)
	}
	_, err = c.invoke("/nope", nil)
	if err == nil || err.Error() != `protocol error: unknown rpc: "/nope"` {
		return fmt.Errorf("/nope: %v", err)
	}
	// A message above 4 MiB ends its stream, and no more.
	if _, err = c.invoke("/one", make([]byte, 4_194_305)); err == nil || drpc.InternalError.Has(err) {
		return fmt.Errorf("4194305 bytes: %v", err)
	}
	_, err = c.invoke("/one", nil)
	return err
}

func (c *client) cancel() error {
	conn, err := c.rpc()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := conn.NewStream(ctx, "/wait", plain{})
	if err != nil {
		return err
	}
	var empty []byte
	if err := stream.MsgSend(&empty, plain{}); err != nil {
		return err
	}
	if err := stream.MsgRecv(&empty, plain{}); err != nil {
		return err
	}
	cancel()
	if err := stream.MsgRecv(&empty, plain{}); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("wait: %v: should be canceled", err)
	}
	_ = conn.Close()
	for range 100 {
		count, err := c.invoke("/canceled", nil)
		if err != nil {
			return err
		}
		if binary.BigEndian.Uint64(count) > 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("the handler was not canceled")
}

// What matters is that the reader and the session notice; with which words depends on a race.
func (c *client) abruptEnd() error {
	stream, err := c.open("abrupt")
	if err != nil {
		return err
	}
	_, _ = io.ReadAll(stream)
	<-c.session.CloseChan()
	return nil
}
