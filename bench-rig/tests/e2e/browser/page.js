// One end of a call, in a page: a drawn picture as video, and a data channel with known bytes. What
// signalling would carry (one description each way) is handed in and out by the script.
"use strict";

const MESSAGE = 16 * 1024; // bytes of a data channel message
const WAITING_MAX = 256 * 1024; // bytes that may wait in the data channel
const POLL_MS = 100;

class End {
    constructor(configuration, first) {
        this.connection = new RTCPeerConnection({ ...configuration, iceTransportPolicy: "relay" });
        this.candidateErrors = [];
        this.connection.onicecandidateerror = ({ url, errorCode, errorText }) =>
            this.candidateErrors.push(`${url}: ${errorCode} ${errorText}`);
        // Negotiated: both ends open the same channel, so neither waits to be told of it.
        this.channel = this.connection.createDataChannel("bytes", { negotiated: true, id: 0 });
        this.channel.binaryType = "arraybuffer";
        this.channel.onmessage = ({ data }) => this.take(new Uint8Array(data));
        this.received = 0;
        this.wrong = 0;
        this.pattern = { mine: first ? 1 : 2, theirs: first ? 2 : 1 };
        this.picture = drawing();
        for (const track of this.picture.getTracks()) this.connection.addTrack(track, this.picture);
        this.connection.ontrack = ({ streams }) => show(streams[0]);
    }

    async offer() {
        return this.describe(await this.connection.createOffer());
    }

    async answer(offer) {
        await this.connection.setRemoteDescription(offer);
        return this.describe(await this.connection.createAnswer());
    }

    accept(answer) {
        return this.connection.setRemoteDescription(answer);
    }

    // Our description, with a relayed candidate in it; without one there is nothing to try.
    async describe(description) {
        const gathered = new Promise((resolve) => {
            this.connection.onicecandidate = ({ candidate }) => candidate || resolve();
        });
        await this.connection.setLocalDescription(description);
        await gathered;
        const { type, sdp } = this.connection.localDescription;
        if (!sdp.includes(" typ relay ")) {
            throw new Error(`no relayed candidate: ${this.candidateErrors.join("; ")}`);
        }
        return { type, sdp };
    }

    async sendBytes(total) {
        await until(() => this.channel.readyState === "open");
        for (let at = 0; at < total; at += MESSAGE) {
            await until(() => this.channel.bufferedAmount < WAITING_MAX);
            const bytes = new Uint8Array(Math.min(MESSAGE, total - at));
            bytes.forEach((_, i) => (bytes[i] = known(this.pattern.mine, at + i)));
            this.channel.send(bytes);
        }
    }

    take(bytes) {
        bytes.forEach((byte, i) => (this.wrong += byte !== known(this.pattern.theirs, this.received + i)));
        this.received += bytes.length;
    }

    // Ends when so many bytes and frames have come from the other end.
    async receive(bytes, frames) {
        await until(async () => this.received >= bytes && (await this.report()).framesDecoded >= frames);
    }

    async report() {
        const stats = [...(await this.connection.getStats()).values()];
        const byId = new Map(stats.map((entry) => [entry.id, entry]));
        const transport = stats.find(({ type }) => type === "transport") ?? {};
        const pair = byId.get(transport.selectedCandidatePairId) ?? {};
        const candidate = (id) => {
            const { candidateType, relayProtocol, url } = byId.get(id) ?? {};
            return { candidateType, relayProtocol, url };
        };
        const video = stats.find(({ type, kind }) => type === "inbound-rtp" && kind === "video") ?? {};
        return {
            local: candidate(pair.localCandidateId),
            remote: candidate(pair.remoteCandidateId),
            framesDecoded: video.framesDecoded ?? 0,
            bytesReceived: video.bytesReceived ?? 0,
            packetsSent: pair.packetsSent ?? 0,
            packetsReceived: pair.packetsReceived ?? 0,
            bytesSent: pair.bytesSent ?? 0,
            dataReceived: this.received,
            dataWrong: this.wrong,
            state: this.connection.connectionState,
            candidateErrors: this.candidateErrors,
        };
    }

    close() {
        for (const track of this.picture.getTracks()) track.stop();
        this.connection.close();
    }
}

// The byte at a place in an end's stream; neither its low nor its high bits repeat soon.
function known(pattern, at) {
    return (Math.imul(at + pattern, 0x9e3779b1) >>> 24) ^ (at & 0xff);
}

// A picture in which something moves, so that every frame is worth sending.
function drawing() {
    const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
    const context = canvas.getContext("2d");
    let frame = 0;
    setInterval(() => {
        frame += 1;
        context.fillStyle = `hsl(${frame % 360} 80% 50%)`;
        context.fillRect(0, 0, canvas.width, canvas.height);
        context.fillStyle = "black";
        context.fillText(`${frame}`, frame % canvas.width, frame % canvas.height);
    }, 1000 / 30);
    return canvas.captureStream(30);
}

function show(stream) {
    const video = Object.assign(document.createElement("video"), { muted: true, srcObject: stream });
    document.body.append(video);
    return video.play();
}

async function until(done) {
    while (!(await done())) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
