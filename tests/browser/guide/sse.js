// Connect to results stream
const eventSource = new EventSource('/api/events/1/stream/results/');

eventSource.onmessage = (event) => {
    const data = JSON.parse(event.data);
    updateLeaderboard(data.leaderboard);
};

eventSource.onerror = (error) => {
    console.error('SSE connection error:', error);
};
