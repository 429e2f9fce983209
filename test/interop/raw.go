package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/yamux"
)

// A raw stream begins with one line that says what its opener wants:
//
//	echo N     N bytes follow and come back
//	sink       bytes until the end of the stream; nothing comes back
//	hash N     N bytes follow, read slowly; their SHA-256 comes back
//	source N   N bytes come, then the end
//	stall      nobody reads until the opener closes
func serveRaw(session *yamux.Session) {
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return
		}
		go func() {
			defer stream.Close()
			_ = serveRawStream(stream)
		}()
	}
}

func serveRawStream(stream *yamux.Stream) error {
	reader := bufio.NewReaderSize(stream, 512)
	line, err := reader.ReadString('\n')
	if err != nil {
		return err
	}
	var verb string
	var count int64
	_, _ = fmt.Sscanf(line, "%s %d", &verb, &count)
	switch verb {
	case "echo":
		_, err = io.CopyN(stream, reader, count)
		return err
	case "sink":
		_, err = io.Copy(io.Discard, reader)
		return err
	case "hash":
		sum, err := slowHash(reader, count)
		if err != nil {
			return err
		}
		_, err = stream.Write(sum)
		return err
	case "source":
		return source(stream, count)
	case "stall":
		time.Sleep(2 * time.Second)
		return nil
	}
	return fmt.Errorf("unknown verb %q", verb)
}

// slowHash reads in small pieces with pauses, so that the sender runs out of window again and again.
func slowHash(reader io.Reader, count int64) ([]byte, error) {
	hash := sha256.New()
	for count > 0 {
		n, err := io.CopyN(hash, reader, min(count, 50_000))
		if err != nil {
			return nil, err
		}
		count -= n
		time.Sleep(time.Millisecond)
	}
	return hash.Sum(nil), nil
}

// source writes big-endian counters.
func source(w io.Writer, count int64) error {
	buffer := make([]byte, 65536)
	var next uint32
	for count > 0 {
		for at := 0; at+4 <= len(buffer); at += 4 {
			binary.BigEndian.PutUint32(buffer[at:], next)
			next++
		}
		n, err := w.Write(buffer[:min(count, int64(len(buffer)))])
		if err != nil {
			return err
		}
		count -= int64(n)
	}
	return nil
}

// serveGoAway takes one stream, announces that it takes no more, then serves that stream.
func serveGoAway(session *yamux.Session) {
	stream, err := session.AcceptStream()
	if err != nil {
		return
	}
	_ = session.GoAway()
	_ = serveRawStream(stream)
	_ = stream.Close()
	<-session.CloseChan()
}
